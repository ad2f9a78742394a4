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
                Err(error) => {
                    tracing::error!(%error, "the configuration was reloaded; its event could not be published")
                }
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
    let mut fixed = after.clone();
    fixed.log.level = before.log.level;
    fixed.registry.clone_from(&before.registry);
    fixed.labels.clone_from(&before.labels);
    (fixed.live_restore, fixed.shutdown_timeout) = (before.live_restore, before.shutdown_timeout);
    // Of what has no effect at any time.
    fixed.remarks.clone_from(&before.remarks);
    let (new, old) = (&mut fixed.containers, &before.containers);
    new.runtimes.clone_from(&old.runtimes);
    new.default_runtime.clone_from(&old.default_runtime);
    new.shm_size.clone_from(&old.shm_size);
    new.ipc_mode.clone_from(&old.ipc_mode);
    new.cgroupns_mode.clone_from(&old.cgroupns_mode);
    new.stop_timeout = old.stop_timeout;
    fixed != *before
}

#[cfg(test)]
mod tests {
    use super::needs_a_restart;
    use crate::daemon::config::tests::config;

    #[test]
    fn what_a_reload_does_not_change_needs_a_restart() {
        let differs =
            |arguments: &[&str]| needs_a_restart(&config(&[]).unwrap(), &config(arguments).unwrap());
        assert!(!differs(&[]));
        assert!(!differs(&[
            "-D",
            "--add-runtime=x=/bin/x",
            "--default-runtime=x",
            "--default-shm-size=1m",
            "--default-ipc-mode=shareable",
            "--default-cgroupns-mode=host",
            "--default-stop-timeout=3",
            "--registry-mirror=http://127.0.0.1:5000",
            "--insecure-registry=127.0.0.1:5000",
            "--max-concurrent-downloads=1",
            "--additional-image-store=/srv/images",
            "--label=a=b",
            "--live-restore",
            "--shutdown-timeout=2",
        ]));
        for argument in [
            "--net=slirp4netns",
            "--disable-host-loopback=false",
            "--exec-opt=native.cgroupdriver=none",
            "--http-proxy=http://127.0.0.1:1",
            "--log-format=json",
            "--log-driver=local",
            "--bip=10.9.8.1/24",
            "--storage-driver=vfs",
            "--pidfile=/tmp/pid",
        ] {
            assert!(differs(&[argument]), "{argument}");
        }
    }
}
