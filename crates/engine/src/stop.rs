//! `stop`: a signal, patience, then SIGKILL.

use crate::{
    Engine, Error,
    container::{Container, Record, State},
    detached,
    events::Kind,
    fault, signal,
};
use shim_proto::{FailureClass, Target};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// How long SIGKILL may take before the kernel is blamed (a process in uninterruptible sleep).
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How long a signal waits for the successor of a shim that died.
const REPLACEMENT: Duration = Duration::from_secs(30);

/// What a client may say about a stop.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Instead of the container's own stop signal.
    pub signal: Option<String>,
    /// Seconds until SIGKILL, instead of the container's own; negative waits for ever.
    pub timeout: Option<i64>,
}

/// Stops a container and waits for its end.
///
/// # Errors
/// [`Error::AlreadyStopped`] (not modified) when it does not run.
pub async fn stop(engine: &Arc<Engine>, reference: &str, options: Options) -> Result<(), Error> {
    let container = engine.containers.find(reference)?;
    let signal = options.signal.as_deref().map(signal::parse).transpose()?;
    let engine = engine.clone();
    detached("stop", async move {
        let _verb = container.lock().await;
        if !container.record().state.counts_as_running() {
            return Err(Error::AlreadyStopped);
        }
        end(&engine, &container, signal, options.timeout).await
    })
    .await
}

/// Ends a container that runs, or waits to be restarted; the caller holds its lock. Nothing to do when it does neither.
pub(crate) async fn end(
    engine: &Engine,
    container: &Container,
    signal: Option<i32>,
    timeout: Option<i64>,
) -> Result<(), Error> {
    let record = container.record();
    if !record.state.counts_as_running() {
        return Ok(());
    }
    note_client(engine, container)?;
    if !end_restarting(container)? {
        let signal = match signal {
            Some(signal) => signal,
            None => stop_signal(&record)?,
        };
        let default = || engine.config.settings.get().stop_timeout;
        let patience = timeout.or(record.config.stop_timeout).unwrap_or_else(default);
        send(engine, container, signal).await?;
        fault::point("stop.signalled");
        if !ended_within(container, &record, u64::try_from(patience).ok().map(Duration::from_secs)).await {
            tracing::info!(container = %container.id(), signal, patience, "does not stop in time: killing it");
            kill(engine, container, &record).await?;
        }
    }
    engine.events.publish(Kind::Container, "stop", container.id().as_str(), container.record().attributes());
    Ok(())
}

/// SIGKILL, and waits for the end; the caller holds the container's lock.
pub(crate) async fn kill_and_wait(engine: &Engine, container: &Container) -> Result<(), Error> {
    note_client(engine, container)?;
    if end_restarting(container)? {
        return Ok(());
    }
    let record = container.record();
    kill(engine, container, &record).await
}

async fn kill(engine: &Engine, container: &Container, record: &Record) -> Result<(), Error> {
    send(engine, container, signal::KILL).await?;
    if ended_within(container, record, Some(KILL_PATIENCE)).await {
        Ok(())
    } else {
        Err(Error::Unkillable { id: container.id().to_string() })
    }
}

/// A container that waits for its restart ends by not being restarted. Tells whether it was one.
fn end_restarting(container: &Container) -> Result<bool, Error> {
    let was = container.change(|record| match &record.state {
        State::Restarting { exit } => {
            record.state = State::Exited { exit: exit.clone(), failure: None };
            true
        }
        _ => false,
    });
    if was {
        container.save()?;
    }
    Ok(was)
}

/// Remembers that a client wanted it so, for the restart policy; a stop of the engine is no client.
fn note_client(engine: &Engine, container: &Container) -> Result<(), Error> {
    if engine.stopping.load(Ordering::Relaxed) {
        return Ok(());
    }
    container.update(|record| record.stopped_by_client = true)
}

pub(crate) fn stop_signal(record: &Record) -> Result<i32, Error> {
    match record.config.stop_signal.as_str() {
        "" => Ok(signal::TERM),
        name => Ok(signal::parse(name)?),
    }
}

/// Sends a signal to the container's init, and tells of it. One that has ended meanwhile is no error. A frozen
/// container is thawed, so that the signal gets through.
pub(crate) async fn send(engine: &Engine, container: &Container, signal: i32) -> Result<(), Error> {
    let record = container.record();
    if record.state.run().is_none() {
        return Ok(());
    }
    if !deliver(container, signal).await? {
        return Ok(());
    }
    let mut attributes = record.attributes();
    attributes.insert("signal".to_owned(), signal.to_string());
    engine.events.publish(Kind::Container, "kill", container.id().as_str(), attributes);
    if matches!(record.state, State::Paused(_)) {
        crate::pause::thaw(engine, container).await?;
    }
    Ok(())
}

/// Tells whether there was a process to signal. A shim that died is given a successor by the container's monitor, which
/// the signal then goes to.
async fn deliver(container: &Container, signal: i32) -> Result<bool, Error> {
    loop {
        // Without a shim, its end is being handled.
        let Ok(shim) = container.live.shim() else { return Ok(false) };
        let Err(error) = shim.signal(Target::Init, signal).await else { return Ok(true) };
        let ended =
            |f: &shim_proto::Failure| matches!(f.class, FailureClass::NoSuchObject | FailureClass::Conflict);
        if error.failure().is_some_and(ended) {
            return Ok(false);
        }
        if !error.is_disconnect() || timeout(REPLACEMENT, container.live.replaced(&shim)).await.is_err() {
            return Err(error.into());
        }
    }
}

/// Whether the run that `before` tells of ends in time.
async fn ended_within(container: &Container, before: &Record, patience: Option<Duration>) -> bool {
    let mut changes = container.watch();
    let end = changes.wait_for(|now| now.exits > before.exits || now.gone || now.state.run().is_none());
    match patience {
        None => end.await.is_ok(),
        Some(patience) => timeout(patience, end).await.is_ok(),
    }
}
