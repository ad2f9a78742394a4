//! What an engine gives back when nothing happens.
//!
//! A burst of work leaves its mark: free memory that the allocator keeps, and code that is mapped because it was
//! executed once. Both are returned after a while without events, and once after the start. The timer runs only after
//! something happened; at rest nothing wakes up.

use crate::Engine;
use std::{sync::Arc, time::Duration};

/// How long nothing has to happen. Coming back to work costs page faults, some tens of microseconds.
const CALM: Duration = Duration::from_secs(3);

/// Goes on for as long as the engine runs, in a task of its own.
pub fn watch(engine: &Arc<Engine>) {
    let engine = engine.clone();
    tokio::spawn(async move {
        loop {
            give_back();
            engine.events.calm(CALM).await;
        }
    });
}

fn give_back() {
    sys::heap::trim();
    if let Err(error) = sys::heap::forget_code() {
        tracing::warn!(%error, "give back the memory of code that is not in use");
    }
}
