//! Watching the program that leads out, and starting it again.

use super::{Phase, Shared, lock};
use crate::{
    daemon::{self, Daemon},
    error::{Error, Result},
    halt::Halt,
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// How the warning of a driver that was chosen and does not run begins.
const OUTAGE: &str = "containers on bridge networks cannot reach the outside at the moment";

pub(super) fn start(shared: Arc<Shared>) -> Result<()> {
    shared.halt.expect_watcher();
    thread::Builder::new()
        .name("outward".into())
        .spawn(move || shared.supervise())
        .map(drop)
        .map_err(|source| Error::Namespace { operation: "start a thread", source })
}

/// Pauses, longer each time; false when the engine is stopping.
fn rest(halt: &Halt, pause: &mut Duration) -> bool {
    let now = *pause;
    *pause = (now * 2).min(RESTART_PAUSE.1);
    halt.pause(now)
}

impl Shared {
    pub(super) fn settle(&self) {
        *lock(&self.phase) = Phase::Settled;
        self.settled.notify_all();
    }

    fn supervise(&self) {
        let _watching = self.halt.watching();
        let mut pause = RESTART_PAUSE.0;
        loop {
            let running = lock(&self.daemon).as_ref().map(Daemon::handle);
            let handle = match running.unwrap_or_else(|| self.start()) {
                Ok(handle) => {
                    self.settle();
                    lock(&self.warnings).retain(|w| !w.starts_with(OUTAGE));
                    handle
                }
                Err(error) => {
                    tracing::error!(%error, "containers have no way out");
                    let mut warnings = lock(&self.warnings);
                    warnings.retain(|w| !w.starts_with(OUTAGE));
                    warnings.push(format!("{OUTAGE}: {error}"));
                    drop(warnings);
                    self.settle();
                    if !rest(&self.halt, &mut pause) {
                        return;
                    }
                    continue;
                }
            };
            let since = Instant::now();
            if let Err(error) = daemon::wait(&handle, None) {
                tracing::error!(%error, "cannot watch the outward driver");
                return;
            }
            *lock(&self.daemon) = None;
            if since.elapsed() > RESTART_PAUSE.1 {
                pause = RESTART_PAUSE.0;
            }
            if self.halt.is_asked() {
                return;
            }
            tracing::warn!(
                output = daemon::last_words(&self.log),
                "the outward driver ended; starting it again"
            );
            if !rest(&self.halt, &mut pause) {
                return;
            }
        }
    }
}
