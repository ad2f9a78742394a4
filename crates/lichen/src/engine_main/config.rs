//! What the engine and the image store are told.

use super::cgroups;
use crate::daemon::{config::Config, remote};
use anyhow::{Context, Result, bail};
use engine::config::{DefaultLog, Dns, Settings, Shared, Ulimit};
use image::RegistryConfig;
use model::{IdMap, IdRange};
use shim_proto::RuntimeChoice;
use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

/// The name of the runtime that is Lichen's own.
const BUILT_IN: &str = "lichen";
/// The name that Docker's clients know the default runtime by.
const DOCKERS_DEFAULT: &str = "runc";
/// Docker's `default-shm-size`.
const SHM_SIZE: u64 = 64 << 20;

pub(super) fn engine(config: &Config, mut warnings: Vec<String>, shim: &OwnedFd) -> Result<engine::Config> {
    let open = remote::warnings(&config.hosts, config.tls.as_ref());
    open.iter().for_each(|warning| tracing::warn!("{warning}"));
    warnings.extend(open);
    let containers = &config.containers;
    let own_init = || PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), shim.as_raw_fd()));
    let host_gateway = config.network.host_gateways.first();
    let uids = own_map("uid")?;
    // Root of the namespace is who started the engine, unless there is no namespace of its own.
    let uid = uids.0.iter().find(|range| range.inside == 0).map_or(0, |range| range.outside);
    Ok(engine::Config {
        data: config.data.clone(),
        run: config.run.clone(),
        settings: Shared::new(settings(config)?),
        default_log: DefaultLog {
            driver: containers.log_driver.clone(),
            options: containers.log_options.clone(),
        },
        default_ulimits: containers
            .ulimits
            .iter()
            .map(|(name, u)| (name.clone(), Ulimit { soft: u.soft, hard: u.hard }))
            .collect(),
        init: containers.init,
        init_path: containers.init_path.clone().unwrap_or_else(own_init),
        seccomp_profile: seccomp(config)?,
        no_new_privileges: containers.no_new_privileges,
        bypass: containers.bypass,
        dns: Dns {
            servers: addresses(&config.network.dns)?,
            options: config.network.dns_options.clone(),
            search: config.network.dns_search.clone(),
        },
        host_gateway: host_gateway.map(|ip| ip.parse()).transpose()?,
        cgroup: cgroups::detect(config, uid)?,
        warnings,
        uids,
        gids: own_map("gid")?,
    })
}

/// Whether what this part of the configuration names can be read and used.
pub(super) fn check(config: &Config) -> Result<()> {
    settings(config)?;
    seccomp(config).map(drop)
}

/// What a reload changes, beside [`registries`].
pub(super) fn settings(config: &Config) -> Result<Settings> {
    let runtimes = runtimes(config);
    let default_runtime = config.containers.default_runtime.clone().unwrap_or_else(|| BUILT_IN.to_owned());
    if !runtimes.contains_key(&default_runtime) {
        bail!("specified default runtime '{default_runtime}' does not exist");
    }
    let containers = &config.containers;
    let or_private = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "private".to_owned());
    Ok(Settings {
        default_runtime,
        runtimes,
        live_restore: config.live_restore,
        shutdown_timeout: config.shutdown_timeout,
        stop_timeout: containers.stop_timeout,
        labels: config.labels.clone(),
        shm_size: containers.shm_size.as_deref().map_or(Ok(SHM_SIZE), bytes).context("default-shm-size")?,
        ipc_mode: or_private(&containers.ipc_mode),
        cgroupns_mode: or_private(&containers.cgroupns_mode),
    })
}

fn addresses(texts: &[String]) -> Result<Vec<std::net::IpAddr>> {
    texts.iter().map(|t| t.parse().with_context(|| format!("invalid address {t:?}"))).collect()
}

/// A size with a unit of 1024s: `64M`, `1g`, `67108864`.
fn bytes(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match lower[digits.len()..].trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        unit => bail!("unknown unit {unit:?}: expected b, k, m, g or t"),
    };
    let number: u64 = digits.trim().parse().with_context(|| format!("invalid size {text:?}"))?;
    number.checked_mul(1 << (10 * power)).with_context(|| format!("size {text:?} is too large"))
}

fn runtimes(config: &Config) -> BTreeMap<String, RuntimeChoice> {
    let mut runtimes = BTreeMap::from([(BUILT_IN.to_owned(), RuntimeChoice::Builtin)]);
    for (name, runtime) in &config.containers.runtimes {
        let path = if runtime.path.as_os_str().is_empty() { name.into() } else { runtime.path.clone() };
        let choice = RuntimeChoice::External { path, args: runtime.runtime_args.clone() };
        runtimes.insert(name.clone(), choice);
    }
    // Programs that are there are there to be asked for by name.
    for name in [DOCKERS_DEFAULT, "crun", "youki", "runsc", "nvidia-container-runtime"] {
        if !runtimes.contains_key(name)
            && let Some(path) = on_path(name)
        {
            runtimes.insert(name.to_owned(), RuntimeChoice::External { path, args: vec![] });
        }
    }
    runtimes.entry(DOCKERS_DEFAULT.to_owned()).or_insert(RuntimeChoice::Builtin);
    runtimes
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A user's PATH may lack the directories that administrators' programs are in.
    let dirs =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|p| rustix::fs::access(p, rustix::fs::Access::EXEC_OK).is_ok())
}

fn seccomp(config: &Config) -> Result<Option<String>> {
    match config.containers.seccomp_profile.as_deref() {
        None | Some("" | "builtin") => Ok(None),
        Some("unconfined") => Ok(Some("unconfined".to_owned())),
        Some(path) => std::fs::read_to_string(path)
            .map(Some)
            .with_context(|| format!("opening seccomp profile ({path})")),
    }
}

pub(super) fn registries(config: &Config) -> RegistryConfig {
    RegistryConfig {
        mirrors: config.registry.mirrors.clone(),
        insecure: config.registry.insecure.clone(),
        certs: vec![config.places.config.join("docker/certs.d"), "/etc/docker/certs.d".into()],
        max_downloads: config.registry.downloads,
        max_uploads: config.registry.uploads,
        stores: config.registry.stores.clone(),
        ..RegistryConfig::default()
    }
}

/// This process's own `/proc/self/uid_map` or `gid_map`.
fn own_map(kind: &str) -> Result<IdMap> {
    let path = format!("/proc/self/{kind}_map");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) => {
                Some(IdRange { inside, outside, count })
            }
            _ => None,
        }
    };
    let map: Option<Vec<IdRange>> = text.lines().map(line).collect();
    map.map(IdMap).with_context(|| format!("read {path}: unexpected text {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expect) in [("64M", 64 << 20), ("1g", 1 << 30), ("12", 12), ("2KiB", 2048), ("3kb", 3072)]
        {
            assert_eq!(bytes(text).unwrap(), expect, "{text}");
        }
        for text in ["", "x", "1y", "-1", "99999999999999T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
