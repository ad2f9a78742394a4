//! The graceful end of an engine.

use crate::{Engine, Error, blocking, stop};
use std::sync::{Arc, atomic::Ordering};

/// Stops every container, each with its own patience but none beyond `shutdown-timeout`, and the network. With
/// `live-restore` all of it goes on without an engine, unless no container needs it (moby, `Daemon.Shutdown`).
pub async fn shutdown(engine: &Arc<Engine>) -> Result<(), Error> {
    engine.stopping.store(true, Ordering::Relaxed);
    let settings = engine.config.settings.get();
    let mut containers = engine.containers.all().into_iter();
    if settings.live_restore && containers.any(|c| c.record().state.counts_as_running()) {
        return Ok(());
    }
    let limit = i64::try_from(settings.shutdown_timeout.as_secs()).unwrap_or(i64::MAX);
    let default = settings.stop_timeout;
    let mut stops = tokio::task::JoinSet::new();
    for container in engine.containers.all() {
        let engine = engine.clone();
        stops.spawn(async move {
            let _verb = container.lock().await;
            let own = container.record().config.stop_timeout.unwrap_or(default);
            let patience = if own < 0 { limit } else { own.min(limit) };
            if let Err(error) = stop::end(&engine, &container, None, Some(patience)).await {
                tracing::error!(container = %container.id(), %error, "stop at shutdown");
            }
            // Until its shim is gone, too.
            drop(container.live.tenancy().await);
        });
    }
    while stops.join_next().await.is_some() {}
    let engine = engine.clone();
    Ok(blocking("shutdown", move || engine.networks.shutdown()).await??)
}
