//! Blocking work from async code.

use crate::{Error, Result};
use scopeguard::ScopeGuard;
use tokio::runtime::Handle;

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(_) => Err(Error::Interrupted { operation }),
    }
}

/// Holds what takes its time to be dropped. When async code is dropped with it, a thread that may block drops it.
pub(crate) fn held<T: Send + 'static>(value: T) -> ScopeGuard<T, impl FnOnce(T)> {
    scopeguard::guard(value, |value| {
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(value)));
        }
    })
}
