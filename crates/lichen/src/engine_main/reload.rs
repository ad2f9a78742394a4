//! SIGHUP: the configuration is read again, and what dockerd changes in a running engine is changed.

use super::config;
use crate::daemon::{
    config::{self as daemon_config, Config},
    logging::Level,
    settings,
};
use anyhow::Result;
use engine::Engine;
use sd_notify::NotifyState;
use std::sync::Arc;

/// Puts the configuration as it now is into force, or none of it. Returns it.
pub(super) async fn reload(
    engine: &Arc<Engine>,
    before: &Arc<Config>,
    arguments: &[String],
    level: &Level,
) -> Arc<Config> {
    let telling = Telling::begin();
    let config = match load(arguments) {
        Ok((config, settings)) => {
            level.set(config.log.level);
            if needs_a_restart(before, &config) {
                tracing::warn!(
                    "some of the settings that changed take effect when the engine is started again"
                );
            }
            let registries = config::registries(&config);
            match engine::reload::reload(engine, settings, registries).await {
                Ok(()) => tracing::info!("the configuration was reloaded"),
                Err(error) => tracing::error!(%error, "the configuration was reloaded, and that is not told"),
            }
            Arc::new(config)
        }
        Err(error) => {
            let why = super::causes::line(&error);
            tracing::error!("the configuration is not reloaded, and stays as it was: {why}");
            before.clone()
        }
    };
    telling.end();
    config
}

/// The service manager's view of a reload (sd_notify(3), `RELOADING=1`). The unit has `NotifyAccess=all`, and the socket
/// is in the environment that the launcher handed on; without one nobody is told.
struct Telling;

impl Telling {
    fn begin() -> Self {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                tell(&[NotifyState::Reloading, now, NotifyState::Status("Reloading the configuration.")])
            }
            Err(error) => tracing::warn!("tell the service manager of the reload: {error}"),
        }
        Self
    }

    fn end(self) {
        tell(&[NotifyState::Ready, NotifyState::Status("The engine serves.")]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!("tell the service manager of the reload: {error}");
    }
}

fn load(arguments: &[String]) -> Result<(Config, engine::config::Settings)> {
    let config = daemon_config::load(&settings::parse(arguments)?)?;
    // One that could not be started with is not reloaded either.
    super::check(&config)?;
    let settings = config::settings(&config)?;
    Ok((config, settings))
}

/// Whether more changed than a reload changes.
fn needs_a_restart(before: &Config, after: &Config) -> bool {
    let containers = |config: &Config| {
        let mut containers = config.containers.clone();
        containers.runtimes.clear();
        containers.default_runtime = None;
        (containers.shm_size, containers.ipc_mode, containers.cgroupns_mode) = (None, None, None);
        containers.stop_timeout = 0;
        containers
    };
    containers(before) != containers(after)
        || before.network != after.network
        || before.hosts != after.hosts
        || before.tls != after.tls
        || before.storage_driver != after.storage_driver
        || before.data.root() != after.data.root()
        || before.run.root() != after.run.root()
}
