//! The layer below, for those who wait for it.

use super::Stage;
use crate::{Error, Result};
use snapshot::Arrival;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{runtime::Handle, sync::watch};

/// Waits until the layer below is so far.
pub(super) async fn reach(
    lower: &mut watch::Receiver<Stage>,
    stage: Stage,
    operation: &'static str,
) -> Result<()> {
    lower.wait_for(|now| *now >= stage).await.map(drop).map_err(|_| Error::Interrupted { operation })
}

/// The layer below, for the thread that unpacks.
#[derive(Clone)]
pub(super) struct Awaited {
    lower: watch::Receiver<Stage>,
    has_failed: Arc<AtomicBool>,
    operation: &'static str,
}

impl Awaited {
    pub fn new(lower: watch::Receiver<Stage>, operation: &'static str) -> Self {
        Self { lower, has_failed: Arc::default(), operation }
    }

    pub fn is_there(&self) -> bool {
        *self.lower.borrow() == Stage::Committed
    }

    /// Whether a thread waited in vain. The reason is the lower layer's to tell.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Called where there is a runtime.
    pub fn into_blocking(self) -> Arrival {
        let runtime = Handle::current();
        Box::new(move || {
            let mut lower = self.lower.clone();
            let arrived = reach(&mut lower, Stage::Committed, self.operation);
            runtime.block_on(arrived).map_err(|e| {
                self.has_failed.store(true, Ordering::Relaxed);
                io::Error::other(e)
            })
        })
    }
}
