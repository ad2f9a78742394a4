//! Ending a thread that watches a program and starts it again.
//!
//! Whoever stops the program must know that no other is started behind their back: a thread that is about to, or has just,
//! would leave one that nobody ends. So the thread is told, and waited for.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Debug, Default)]
struct State {
    asked: bool,
    /// Threads that watch.
    watching: usize,
}

/// Between a watching thread and whoever stops what it watches.
#[derive(Debug, Default)]
pub(crate) struct Halt {
    state: Mutex<State>,
    changed: Condvar,
}

/// Held by a thread while it watches.
pub(crate) struct Watching<'a>(&'a Halt);

impl Halt {
    pub(crate) fn ask(&self) {
        self.lock().asked = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.lock().asked
    }

    /// Pauses, or does not when asked to halt; whether to go on.
    pub(crate) fn pause(&self, duration: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), duration, |state| !state.asked);
        !waited.unwrap_or_else(PoisonError::into_inner).0.asked
    }

    /// To be called before the thread is started.
    pub(crate) fn expect_watcher(&self) {
        self.lock().watching += 1;
    }

    /// In a thread that was expected.
    pub(crate) fn watching(&self) -> Watching<'_> {
        Watching(self)
    }

    /// Waits until no thread watches any more; false when that takes longer than `patience`.
    pub(crate) fn wait_unwatched(&self, patience: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |state| state.watching > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.watching == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.lock().watching -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread, time::Instant};

    #[test]
    fn a_pause_ends_when_it_is_asked_to_halt() {
        let halt = Arc::new(Halt::default());
        halt.expect_watcher();
        let watcher = {
            let halt = Arc::clone(&halt);
            thread::spawn(move || {
                let _watching = halt.watching();
                halt.pause(Duration::from_secs(600))
            })
        };
        assert!(!halt.wait_unwatched(Duration::from_millis(1)), "it has not been asked to");
        let start = Instant::now();
        halt.ask();
        assert!(halt.wait_unwatched(Duration::from_secs(60)));
        assert!(start.elapsed() < Duration::from_secs(300));
        assert!(!watcher.join().unwrap());
        assert!(!halt.pause(Duration::from_secs(600)), "nor is there another pause");
    }
}
