//! Settings for the engine and the image store.

use super::cgroups;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use engine::{
    Config,
    config::{DefaultLog, Dns, Ulimit},
};
use image::RegistryConfig;
use model::{DataLayout, IdMap, IdRange, RunLayout};
use shim_proto::RuntimeChoice;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The name of the runtime that is Lichen's own.
const BUILT_IN: &str = "lichen";
/// The name that Docker's clients know the default runtime by.
const DOCKERS_DEFAULT: &str = "runc";

pub(super) fn engine(settings: &Settings, data: DataLayout, run: RunLayout, warnings: Vec<String>) -> Result<Config> {
    let runtimes = runtimes(settings);
    let default_runtime = settings.default_runtime.clone().unwrap_or_else(|| BUILT_IN.to_owned());
    if !runtimes.contains_key(&default_runtime) {
        bail!("specified default runtime '{default_runtime}' does not exist");
    }
    // A negative time-out waits for ever, as dockerd's does.
    let timeout = u64::try_from(settings.shutdown_timeout).map_or(Duration::MAX, Duration::from_secs);
    Ok(Config {
        data,
        run,
        default_runtime,
        runtimes,
        default_log: DefaultLog { driver: settings.log_driver.clone(), options: settings.log_opts.clone() },
        default_ulimits: settings
            .default_ulimits
            .iter()
            .map(|(name, u)| (name.clone(), Ulimit { soft: u.soft, hard: u.hard }))
            .collect(),
        shm_size: settings.default_shm_size,
        ipc_mode: settings.default_ipc_mode.clone(),
        cgroupns_mode: settings.default_cgroupns_mode.clone(),
        init: settings.init,
        init_path: settings.init_path.clone().unwrap_or_default(),
        seccomp_profile: seccomp(settings)?,
        no_new_privileges: settings.no_new_privileges,
        live_restore: settings.live_restore,
        shutdown_timeout: timeout,
        dns: Dns {
            servers: settings.dns.clone(),
            options: settings.dns_opts.clone(),
            search: settings.dns_search.clone(),
        },
        host_gateway: settings.host_gateway_ips.first().copied(),
        cgroup: cgroups::detect(),
        labels: settings.labels.clone(),
        warnings,
        uids: own_map("uid")?,
        gids: own_map("gid")?,
    })
}

fn runtimes(settings: &Settings) -> BTreeMap<String, RuntimeChoice> {
    let mut runtimes = BTreeMap::from([(BUILT_IN.to_owned(), RuntimeChoice::Builtin)]);
    for (name, runtime) in &settings.runtimes {
        let path = if runtime.path.is_empty() { name.clone() } else { runtime.path.clone() };
        let choice = RuntimeChoice::External { path: path.into(), args: runtime.runtime_args.clone() };
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
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|p| rustix::fs::access(p, rustix::fs::Access::EXEC_OK).is_ok())
}

fn seccomp(settings: &Settings) -> Result<Option<String>> {
    match settings.seccomp_profile.as_deref() {
        None | Some("" | "builtin") => Ok(None),
        Some("unconfined") => Ok(Some("unconfined".to_owned())),
        Some(path) => std::fs::read_to_string(path).map(Some).with_context(|| format!("opening seccomp profile ({path})")),
    }
}

pub(super) fn registries(settings: &Settings) -> Result<RegistryConfig> {
    let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".config")));
    let certs = home.map(|h| h.join("docker/certs.d")).into_iter().chain(["/etc/docker/certs.d".into()]).collect();
    for mirror in &settings.registry_mirrors {
        if !mirror.starts_with("http://") && !mirror.starts_with("https://") {
            bail!("invalid mirror: {mirror:?}: expected http://HOST or https://HOST");
        }
    }
    Ok(RegistryConfig {
        mirrors: settings.registry_mirrors.clone(),
        insecure: settings.insecure_registries.clone(),
        certs,
        max_downloads: settings.max_concurrent_downloads,
    })
}

/// This process's own `/proc/self/uid_map` or `gid_map`.
fn own_map(kind: &str) -> Result<IdMap> {
    let path = format!("/proc/self/{kind}_map");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) => Some(IdRange { inside, outside, count }),
            _ => None,
        }
    };
    let map: Option<Vec<IdRange>> = text.lines().map(line).collect();
    map.map(IdMap).with_context(|| format!("read {path}: unexpected text {text:?}"))
}
