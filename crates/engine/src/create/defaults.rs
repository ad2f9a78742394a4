//! What a request leaves open and no image decides (moby `adaptContainerSettings`).

use super::Invalid;
use crate::{Config, Error, container::Registry};
use api_types::{ContainerConfig, EndpointSettings, HostConfig, Map, NetworkingConfig};

/// Fills `host` in from the engine's configuration.
///
/// # Errors
/// [`Error::OtherContainer`]: a namespace of a container that there is not.
pub fn host_config(host: &mut HostConfig, engine: &Config, containers: &Registry) -> Result<(), Error> {
    if host.memory > 0 && host.memory_swap == 0 {
        host.memory_swap = host.memory * 2;
    }
    let settings = engine.settings.get();
    if host.shm_size == 0 {
        host.shm_size = i64::try_from(settings.shm_size).unwrap_or(i64::MAX);
    }
    fill(&mut host.ipc_mode, &settings.ipc_mode);
    fill(&mut host.cgroupns_mode, &settings.cgroupns_mode);
    fill(&mut host.runtime, &settings.default_runtime);
    fill(&mut host.restart_policy.name, "no");
    if matches!(host.network_mode.as_str(), "" | "default") {
        "bridge".clone_into(&mut host.network_mode);
    }
    // By ID, so that the other container can be renamed.
    for mode in [&mut host.ipc_mode, &mut host.pid_mode, &mut host.network_mode] {
        if let Some(other) = mode.strip_prefix("container:") {
            let missing = |source| Error::OtherContainer { source: Box::new(source) };
            *mode = format!("container:{}", containers.find(other).map_err(missing)?.id());
        }
    }
    if !host.privileged {
        let owned = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect();
        let unconfined = host.security_opt.iter().any(|o| o == "systempaths=unconfined");
        let default = |paths: &[&str]| if unconfined { Vec::new() } else { owned(paths) };
        host.masked_paths.get_or_insert_with(|| default(spec::paths::MASKED));
        host.readonly_paths.get_or_insert_with(|| default(spec::paths::READ_ONLY));
    }
    Ok(())
}

fn fill(own: &mut String, default: &str) {
    if own.is_empty() {
        default.clone_into(own);
    }
}

/// Driver and options of the container's log: the engine's defaults where the request names no driver of its own.
pub fn log_config(host: &mut HostConfig, engine: &Config) -> Result<(), Invalid> {
    let log = &mut host.log_config;
    fill(&mut log.r#type, &engine.default_log.driver);
    if log.r#type == engine.default_log.driver {
        for (key, value) in &engine.default_log.options {
            log.config.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    logs::Config::parse(&log.r#type, &log.config).map(drop).map_err(Invalid::LogOptions)
}

/// The networks to join, by name: that of the network mode, and those of the endpoints' configuration.
pub fn networks(
    config: &ContainerConfig,
    host: &HostConfig,
    networking: Option<NetworkingConfig>,
) -> Result<Map<EndpointSettings>, Invalid> {
    let mut endpoints = networking.unwrap_or_default().endpoints_config;
    if let Some(default) = endpoints.remove("default") {
        endpoints.insert("bridge".to_owned(), default);
    }
    let mode = host.network_mode.as_str();
    if mode.starts_with("container:") {
        return if endpoints.is_empty() { Ok(endpoints) } else { Err(Invalid::SharedWithNetworks) };
    }
    if matches!(mode, "host" | "none") && endpoints.keys().any(|name| name != mode) {
        return Err(Invalid::SharedWithNetworks);
    }
    let first = endpoints.entry(mode.to_owned()).or_default();
    // Where clients before API 1.44 put it.
    fill(&mut first.mac_address, &config.mac_address);
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(mode: &str, names: &[&str]) -> Result<Vec<String>, String> {
        let host = HostConfig { network_mode: mode.into(), ..HostConfig::default() };
        let endpoints_config = names.iter().map(|n| ((*n).to_owned(), EndpointSettings::default())).collect();
        networks(&ContainerConfig::default(), &host, Some(NetworkingConfig { endpoints_config }))
            .map(|map| map.into_keys().collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_mode_and_the_endpoints_are_joined() {
        assert_eq!(endpoints("bridge", &[]).unwrap(), ["bridge"]);
        assert_eq!(endpoints("bridge", &["default"]).unwrap(), ["bridge"]);
        assert_eq!(endpoints("front", &["back", "front"]).unwrap(), ["back", "front"]);
        assert_eq!(endpoints("none", &["none"]).unwrap(), ["none"]);
        assert_eq!(endpoints("container:x", &[]).unwrap(), Vec::<String>::new());
        for mode in ["host", "container:x"] {
            assert!(
                endpoints(mode, &["back"]).unwrap_err().starts_with("container sharing network namespace")
            );
        }
    }
}
