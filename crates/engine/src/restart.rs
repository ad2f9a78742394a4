//! `restart`: stop, if it runs, and start.

use crate::{Engine, Error, container::State, detached, events::Kind, signal, start, stop};
use std::sync::Arc;

/// Restarts a container, or starts one that does not run.
pub async fn restart(engine: &Arc<Engine>, reference: &str, options: stop::Options) -> Result<(), Error> {
    let container = engine.containers.find(reference)?;
    let signal = options.signal.as_deref().map(signal::parse).transpose()?;
    let engine = engine.clone();
    detached("restart", async move {
        let _verb = container.lock().await;
        if matches!(container.record().state, State::Removing { .. } | State::Dead { .. }) {
            return Err(Error::MarkedForRemoval { verb: "restarted" });
        }
        // So that the end does not remove a container that is to be removed after its last run.
        container.live.set_restarting(true);
        let stopped = stop::end(&engine, &container, signal, options.timeout).await;
        let started = match stopped {
            Ok(()) => start::by_client(&engine, &container).await,
            Err(error) => Err(error),
        };
        container.live.set_restarting(false);
        started?;
        engine.events.publish(
            Kind::Container,
            "restart",
            container.id().as_str(),
            container.record().attributes(),
        );
        Ok(())
    })
    .await
}
