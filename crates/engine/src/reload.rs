//! New settings while the engine runs (SIGHUP, as dockerd has it).

use crate::{Engine, Error, blocking, config::Settings, events::Kind, system};
use image::RegistryConfig;
use std::{collections::BTreeMap, sync::Arc};

/// Puts settings into force, and tells of it with the event that dockerd has for it.
///
/// # Errors
/// When the engine's own identity, which the event is about, cannot be read; the settings are in force then.
pub async fn reload(
    engine: &Arc<Engine>,
    settings: Settings,
    registries: RegistryConfig,
) -> Result<(), Error> {
    let attributes = attributes(&settings, &registries);
    engine.config.settings.set(settings);
    engine.images.set_registries(registries);
    let engine = engine.clone();
    blocking("reload", move || {
        let mut attributes = attributes;
        attributes.insert("name".to_owned(), system::host_name());
        engine.events.publish(Kind::Daemon, "reload", &system::identity(&engine)?, attributes);
        Ok(())
    })
    .await?
}

/// The new values under their names in `daemon.json`, lists as JSON (moby `daemon/reload.go`).
fn attributes(settings: &Settings, registries: &RegistryConfig) -> BTreeMap<String, String> {
    let list = |list: &[String]| serde_json::Value::from(list).to_string();
    let stores: Vec<String> = registries.stores.iter().map(|path| path.display().to_string()).collect();
    let runtimes: Vec<&str> = settings.runtimes.keys().map(String::as_str).collect();
    let pairs = [
        ("debug", tracing::enabled!(tracing::Level::DEBUG).to_string()),
        ("default-cgroupns-mode", settings.cgroupns_mode.clone()),
        ("default-ipc-mode", settings.ipc_mode.clone()),
        ("default-runtime", settings.default_runtime.clone()),
        ("default-shm-size", settings.shm_size.to_string()),
        ("default-stop-timeout", settings.stop_timeout.to_string()),
        ("insecure-registries", list(&registries.insecure)),
        ("labels", list(&settings.labels)),
        ("lichen-additional-image-stores", list(&stores)),
        ("live-restore", settings.live_restore.to_string()),
        ("max-concurrent-downloads", registries.max_downloads.to_string()),
        ("max-concurrent-uploads", registries.max_uploads.to_string()),
        ("registry-mirrors", list(&registries.mirrors)),
        ("runtimes", runtimes.join(" ")),
        ("shutdown-timeout", settings.shutdown_timeout.as_secs().to_string()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
