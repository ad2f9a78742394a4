//! Starting the forwarder again whenever it ends by itself.

use super::Shared;
use crate::{
    daemon,
    error::{Error, Result},
};
use std::{
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Pause before a forwarder that died is started again; doubled up to the second figure while it keeps dying.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));

/// Watches the process behind `handle`, and those that take its place.
pub(super) fn start(shared: Arc<Shared>, handle: OwnedFd) -> Result<()> {
    shared.halt.expect_watcher();
    thread::Builder::new()
        .name("netd-watch".into())
        .spawn(move || shared.watch(handle))
        .map(drop)
        .map_err(|source| Error::Namespace { operation: "start a thread", source })
}

impl Shared {
    fn watch(&self, mut handle: OwnedFd) {
        let _watching = self.halt.watching();
        let mut pause = RESTART_PAUSE.0;
        loop {
            let since = Instant::now();
            if let Err(error) = daemon::wait(&handle, None) {
                tracing::error!(%error, "cannot watch the forwarder");
                return;
            }
            if since.elapsed() > RESTART_PAUSE.1 {
                pause = RESTART_PAUSE.0;
            }
            match self.start_again(&mut pause) {
                // One that was started too late was ended again.
                Some(started) if !self.halt.is_asked() => handle = started,
                _ => return,
            }
            self.refill();
        }
    }

    /// Tries until it is there; none when the engine is stopping.
    fn start_again(&self, pause: &mut Duration) -> Option<OwnedFd> {
        loop {
            if self.halt.is_asked() {
                return None;
            }
            tracing::warn!(output = daemon::last_words(&self.log), "the forwarder ended; starting it again");
            let now = *pause;
            *pause = (now * 2).min(RESTART_PAUSE.1);
            if !self.halt.pause(now) {
                return None;
            }
            match self.start() {
                Ok(started) => return Some(started),
                Err(error) => tracing::error!(%error, "cannot start the forwarder"),
            }
        }
    }
}
