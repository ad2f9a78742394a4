//! Checks of a request that need nothing but the request (moby `verifyContainerSettings`). Resource limits are in
//! [`super::resources`], mounts in [`crate::mounts`].

use super::Invalid;
use crate::{Config, mounts::clean, signal};
use api_types::{ContainerConfig, HealthConfig, HostConfig, PortMap, RestartPolicy};
use std::{net::IpAddr, str::FromStr};

/// HOST_NAME_MAX, include/uapi/linux/limits.h.
const HOSTNAME_MAX: usize = 64;
/// Docker's least time for health checks: 1 ms.
const HEALTH_TIME_MIN: i64 = 1_000_000;

/// Checks and tidies what is portable.
pub fn config(config: &mut ContainerConfig) -> Result<(), Invalid> {
    if config.hostname.len() > HOSTNAME_MAX {
        return Err(Invalid::HostnameTooLong(config.hostname.clone()));
    }
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') {
            return Err(Invalid::WorkingDir(config.working_dir.clone()));
        }
        config.working_dir = clean(&config.working_dir);
    }
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal)?;
    }
    if let Some(entry) = config.env.iter().find(|e| e.is_empty() || e.starts_with('=')) {
        return Err(Invalid::Env(entry.clone()));
    }
    config.healthcheck.as_ref().map_or(Ok(()), health)
}

fn health(check: &HealthConfig) -> Result<(), Invalid> {
    let times = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    match times.into_iter().find(|(_, time)| *time != 0 && *time < HEALTH_TIME_MIN) {
        Some((name, _)) => Err(Invalid::HealthTime(name)),
        None if check.retries < 0 => Err(Invalid::HealthRetries),
        None => Ok(()),
    }
}

/// Checks what belongs to this host.
pub fn host_config(host: &HostConfig, engine: &Config) -> Result<(), Invalid> {
    restart_policy(&host.restart_policy)?;
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return Err(Invalid::AutoRemoveWithRestart);
    }
    host.extra_hosts.iter().try_for_each(|entry| extra_host(entry))?;
    ports(&host.port_bindings)?;
    capabilities("CapAdd", &host.cap_add)?;
    capabilities("CapDrop", &host.cap_drop)?;
    if !matches!(host.isolation.to_ascii_lowercase().as_str(), "" | "default") {
        return Err(Invalid::Isolation(host.isolation.clone()));
    }
    if host.annotations.contains_key("") {
        return Err(Invalid::EmptyAnnotation);
    }
    namespaces(host)?;
    if host.shm_size < 0 {
        return Err(Invalid::ShmSize);
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Invalid::OomScoreAdj(host.oom_score_adj));
    }
    if !host.runtime.is_empty() && !engine.settings.get().runtimes.contains_key(&host.runtime) {
        return Err(Invalid::Runtime(host.runtime.clone()));
    }
    if !host.storage_opt.is_empty() {
        return Err(Invalid::StorageOpt);
    }
    if let Some(request) = host.device_requests.first() {
        let capabilities = request.capabilities.iter().map(|set| format!("[{}]", set.join(" ")));
        return Err(Invalid::DeviceRequest {
            driver: request.driver.clone(),
            capabilities: format!("[{}]", capabilities.collect::<Vec<_>>().join(" ")),
        });
    }
    host.links.iter().try_for_each(|link| parse_link(link).map(drop))
}

/// Also what `update` checks.
pub fn restart_policy(policy: &RestartPolicy) -> Result<(), Invalid> {
    match (policy.name.as_str(), policy.maximum_retry_count) {
        ("", _) | ("no" | "always" | "unless-stopped", 0) | ("on-failure", 0..) => Ok(()),
        ("no" | "always" | "unless-stopped", count) => Err(Invalid::RestartRetries { negative: count < 0 }),
        ("on-failure", _) => Err(Invalid::NegativeRetries),
        (other, _) => Err(Invalid::RestartPolicy(other.to_owned())),
    }
}

/// `name:address`, where the address may be `host-gateway`.
fn extra_host(entry: &str) -> Result<(), Invalid> {
    match entry.split_once(':') {
        None | Some(("", _)) => Err(Invalid::ExtraHost(entry.to_owned())),
        Some((_, "host-gateway")) => Ok(()),
        Some((_, address)) => address_of(address).map(drop),
    }
}

/// An address as `--add-host` takes it, IPv6 also in brackets.
pub fn address_of(text: &str) -> Result<IpAddr, Invalid> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| Invalid::ExtraHostAddress(text.to_owned()))
}

fn ports(map: &PortMap) -> Result<(), Invalid> {
    for (port, bindings) in map {
        if container_port(port).is_none() {
            return Err(Invalid::Port(port.clone()));
        }
        if let Some(bad) =
            bindings.iter().find(|b| !b.host_port.is_empty() && port_range(&b.host_port).is_none())
        {
            return Err(Invalid::Port(bad.host_port.clone()));
        }
    }
    Ok(())
}

/// `80/tcp`, `80`: the port and its protocol.
pub fn container_port(text: &str) -> Option<(u16, &str)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let port = port.parse::<u16>().ok().filter(|p| *p != 0)?;
    matches!(protocol, "tcp" | "udp" | "sctp").then_some((port, protocol))
}

/// `8000`, `8000-8010`.
pub fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (u16::from_str(first).ok()?, u16::from_str(last).ok()?);
    (range.0 <= range.1).then_some(range)
}

fn capabilities(option: &'static str, names: &[String]) -> Result<(), Invalid> {
    let unknown = |name: &&String| {
        !name.eq_ignore_ascii_case("all")
            && spec::caps::resolve(std::slice::from_ref(*name), &[], false).is_err()
    };
    match names.iter().find(unknown) {
        Some(name) => Err(Invalid::Capability { option, name: name.clone() }),
        None => Ok(()),
    }
}

fn namespaces(host: &HostConfig) -> Result<(), Invalid> {
    let container = |mode: &str| mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    let ipc = host.ipc_mode.as_str();
    if !matches!(ipc, "" | "none" | "private" | "host" | "shareable") && !container(ipc) {
        return Err(Invalid::IpcMode(ipc.to_owned()));
    }
    if !matches!(host.pid_mode.as_str(), "" | "host") && !container(&host.pid_mode) {
        return Err(Invalid::PidMode(host.pid_mode.clone()));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return Err(Invalid::UtsMode(host.uts_mode.clone()));
    }
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return Err(Invalid::UsernsMode(host.userns_mode.clone()));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return Err(Invalid::CgroupnsMode(host.cgroupns_mode.clone()));
    }
    Ok(())
}

/// `container[:alias]`.
pub fn parse_link(link: &str) -> Result<(&str, &str), Invalid> {
    let invalid = || Invalid::Link(link.to_owned());
    let parts: Vec<&str> = link.split(':').collect();
    let (name, alias) = match parts[..] {
        [name] => (name, name),
        [name, alias] => (name, alias),
        _ => return Err(invalid()),
    };
    // Daemons before 1.9 stored links as `/target:/owner/alias`.
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    let name = name.strip_prefix('/').unwrap_or(name);
    if name.is_empty() || alias.is_empty() { Err(invalid()) } else { Ok((name, alias)) }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
