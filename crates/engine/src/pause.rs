//! `pause` and `unpause`: the cgroup freezer.

use crate::{
    Engine, Error,
    container::{Container, State},
    detached,
    events::Kind,
    health,
};
use std::sync::Arc;

/// Freezes every process of a running container.
///
/// # Errors
/// [`Error::NotRunning`], [`Error::AlreadyPaused`], [`Error::Restarting`]; [`Error::Shim`] of kind not-implemented where
/// there is no cgroup to freeze.
pub async fn pause(engine: &Arc<Engine>, reference: &str) -> Result<(), Error> {
    let container = engine.containers.find(reference)?;
    let engine = engine.clone();
    detached("pause", async move {
        let _verb = container.lock().await;
        let id = || container.id().to_string();
        match &container.record().state {
            State::Running(_) => {}
            State::Paused(_) => return Err(Error::AlreadyPaused { id: id() }),
            State::Restarting { .. } => return Err(Error::Restarting { id: id() }),
            _ => return Err(Error::NotRunning { id: id() }),
        }
        container.live.shim()?.pause().await?;
        container.update(|record| {
            if let State::Running(run) = &record.state {
                record.state = State::Paused(run.clone());
            }
        })?;
        container.live.stop_probe();
        engine.events.publish(
            Kind::Container,
            "pause",
            container.id().as_str(),
            container.record().attributes(),
        );
        Ok(())
    })
    .await
}

/// Lets a paused container go on.
///
/// # Errors
/// [`Error::NotPaused`].
pub async fn unpause(engine: &Arc<Engine>, reference: &str) -> Result<(), Error> {
    let container = engine.containers.find(reference)?;
    let engine = engine.clone();
    detached("unpause", async move {
        let _verb = container.lock().await;
        if !matches!(container.record().state, State::Paused(_)) {
            return Err(Error::NotPaused { id: container.id().to_string() });
        }
        thaw(&engine, &container).await?;
        health::watch(&engine, &container);
        Ok(())
    })
    .await
}

/// Thaws, records and tells.
pub(crate) async fn thaw(engine: &Engine, container: &Container) -> Result<(), Error> {
    container.live.shim()?.resume().await?;
    container.update(|record| {
        if let State::Paused(run) = &record.state {
            record.state = State::Running(run.clone());
        }
    })?;
    engine.events.publish(
        Kind::Container,
        "unpause",
        container.id().as_str(),
        container.record().attributes(),
    );
    Ok(())
}
