//! Namespaces made before they are needed.
//!
//! Making a network namespace takes the kernel most of a millisecond, and is the same for every container. A thread
//! keeps a few ready, so that a container's start takes one off the shelf; a burst that empties the shelf makes its own.

use crate::{
    error::{Error, Result},
    plumbing::{self, Namespace},
};
use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// How many are kept: each is some hundred kilobytes of kernel memory.
const SHELF: usize = 2;

pub(crate) struct Stock {
    ready: Mutex<Receiver<Result<Namespace>>>,
}

impl Stock {
    /// Starts the thread; it ends when the stock is dropped.
    pub(crate) fn open() -> Result<Self> {
        // The thread itself holds one more, waiting for a place.
        let (shelve, ready): (SyncSender<Result<Namespace>>, _) = sync_channel(SHELF - 1);
        let fill = move || while shelve.send(plumbing::new_namespace()).is_ok() {};
        thread::Builder::new()
            .name("netns-stock".into())
            .spawn(fill)
            .map_err(|source| Error::Namespace { operation: "start a thread", source })?;
        Ok(Self { ready: Mutex::new(ready) })
    }

    /// A new namespace.
    pub(crate) fn take(&self) -> Result<Namespace> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
        // One that could not be made in advance (no descriptors were left, say) is tried again now.
        ready.ok().and_then(Result::ok).map_or_else(plumbing::new_namespace, Ok)
    }
}
