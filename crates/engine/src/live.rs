//! What a container has only while this engine process runs. Nothing here is stored: a new engine rebuilds it from the
//! shim's answer to `State`.

use crate::shims::Shim;
use model::Id;
use shim_proto::Attach;
use std::{
    collections::BTreeSet,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedMutexGuard, watch};

#[derive(Default)]
pub struct Live {
    inner: Mutex<Inner>,
    tenancy: Arc<tokio::sync::Mutex<()>>,
    /// Changes with the shim.
    shims: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    shim: Option<Arc<Shim>>,
    waiting: Vec<WaitingStream>,
    execs: BTreeSet<Id>,
    probe: Option<watch::Sender<()>>,
    backoff: Option<Duration>,
    restarting: bool,
}

/// The right to be this container's one shim. Held from before the shim is spawned until it has gone, so that the next
/// start, or the removal, never meets its leftovers.
pub type Tenancy = OwnedMutexGuard<()>;

/// A client that attached before the start: given to the shim between `Create` and `Start`, so that it misses nothing.
pub struct WaitingStream {
    pub attach: Attach,
    /// The shim's end.
    pub stream: OwnedFd,
}

impl Live {
    /// Waits until the last shim has gone.
    pub async fn tenancy(&self) -> Tenancy {
        self.tenancy.clone().lock_owned().await
    }

    /// The connection to the container's shim, while there is one.
    pub fn shim(&self) -> Result<Arc<Shim>, crate::shims::Error> {
        self.lock().shim.clone().ok_or(crate::shims::Error::NoShim)
    }

    pub fn set_shim(&self, shim: Option<Arc<Shim>>) {
        self.lock().shim = shim;
        self.shims.send_replace(());
    }

    /// Waits until the container's shim is another one than `dead`, or none.
    pub async fn replaced(&self, dead: &Arc<Shim>) {
        let mut changes = self.shims.subscribe();
        let is_other = |_: &()| !self.lock().shim.as_ref().is_some_and(|shim| Arc::ptr_eq(shim, dead));
        // The sender is ours, so it does not go away meanwhile.
        drop(changes.wait_for(is_other).await);
    }

    pub fn wait_for_start(&self, stream: WaitingStream) {
        self.lock().waiting.push(stream);
    }

    /// The streams that waited. Dropping them tells their clients that the start failed.
    pub fn take_waiting(&self) -> Vec<WaitingStream> {
        std::mem::take(&mut self.lock().waiting)
    }

    pub fn add_exec(&self, id: Id) {
        self.lock().execs.insert(id);
    }

    pub fn remove_exec(&self, id: &Id) {
        self.lock().execs.remove(id);
    }

    /// IDs of exec sessions that were made and have not ended.
    pub fn execs(&self) -> Vec<Id> {
        self.lock().execs.iter().cloned().collect()
    }

    pub fn take_execs(&self) -> BTreeSet<Id> {
        std::mem::take(&mut self.lock().execs)
    }

    /// A new health monitor's stop signal: it ends when the receiver reports a closed channel. An earlier monitor is
    /// told to stop.
    pub fn start_probe(&self) -> watch::Receiver<()> {
        let (sender, receiver) = watch::channel(());
        self.lock().probe = Some(sender);
        receiver
    }

    pub fn stop_probe(&self) {
        self.lock().probe = None;
    }

    /// How long the restart policy waited last.
    pub fn backoff(&self) -> Option<Duration> {
        self.lock().backoff
    }

    pub fn set_backoff(&self, backoff: Option<Duration>) {
        self.lock().backoff = backoff;
    }

    /// Whether `restart` is at work: the end it brings about is not the last.
    pub fn restarting(&self) -> bool {
        self.lock().restarting
    }

    pub fn set_restarting(&self, restarting: bool) {
        self.lock().restarting = restarting;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
