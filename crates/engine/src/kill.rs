//! `kill`: one signal, by default SIGKILL.

use crate::{Engine, Error, detached, signal, stop};
use std::sync::Arc;

/// Sends a signal to a running container; after SIGKILL, waits for its end.
///
/// # Errors
/// [`Error::KillNotRunning`], [`Error::Invalid`] for an unknown signal.
pub async fn kill(engine: &Arc<Engine>, reference: &str, signal: Option<&str>) -> Result<(), Error> {
    let number = signal.filter(|s| !s.is_empty()).map_or(Ok(signal::KILL), signal::parse)?;
    let container = engine.containers.find(reference)?;
    let record = container.record();
    if !record.state.counts_as_running() {
        return Err(Error::KillNotRunning { reference: reference.to_owned(), id: record.id.to_string() });
    }
    let engine = engine.clone();
    detached("kill", async move {
        // Not under the container's lock: a kill must get through to a container that a `stop` is waiting for.
        if number == signal::KILL {
            return stop::kill_and_wait(&engine, &container).await;
        }
        // As in Docker, a signal that is not the one to stop by leaves the restart policy in force.
        let own = &container.record().config.stop_signal;
        if own.is_empty() || signal::parse(own).is_ok_and(|s| s == number) {
            container.update(|record| record.stopped_by_client = true)?;
        }
        stop::send(&engine, &container, number).await
    })
    .await
}
