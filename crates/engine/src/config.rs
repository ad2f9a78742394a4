//! What the engine is told at start, by `daemon.json` and flags; validated by the one who made it.

pub use crate::cgroups::Cgroups;
use model::{DataLayout, IdMap, RunLayout};
use shim_proto::RuntimeChoice;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// How the engine is set up. Nothing here changes while it runs, but [`Config::settings`].
#[derive(Debug, Clone)]
pub struct Config {
    pub data: DataLayout,
    pub run: RunLayout,
    /// What a reload changes.
    pub settings: Shared,
    pub default_log: DefaultLog,
    /// `default-ulimits`, by short name.
    pub default_ulimits: BTreeMap<String, Ulimit>,
    /// `init`: an init in every container that does not say otherwise.
    pub init: bool,
    /// The program that `--init` binds into containers as their init; a file that containers cannot write to.
    pub init_path: PathBuf,
    /// `seccomp-profile`: the text of a profile in Docker's format, instead of the built-in one.
    pub seccomp_profile: Option<String>,
    /// `no-new-privileges`.
    pub no_new_privileges: bool,
    /// `lichen-bypass4netns`: containers that do not say otherwise connect by sockets of the host's.
    pub bypass: bool,
    /// `dns`, `dns-opts`, `dns-search`.
    pub dns: Dns,
    /// `host-gateway-ips`: what `--add-host x:host-gateway` stands for.
    pub host_gateway: Option<std::net::IpAddr>,
    pub cgroup: Cgroups,
    /// What start-up found wanting, such as a faster storage driver that does not run here: for `docker info`.
    pub warnings: Vec<String>,
    /// The IDs that exist in the engine's namespace.
    pub uids: IdMap,
    pub gids: IdMap,
}

/// Settings that [`crate::reload`] can change: those of dockerd's that Lichen has, beside the image store's.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `default-runtime`: a key of [`Settings::runtimes`].
    pub default_runtime: String,
    /// Name → runtime; always has `lichen`, the built-in one, which also answers to Docker's default name `runc` unless
    /// configuration says otherwise.
    pub runtimes: BTreeMap<String, RuntimeChoice>,
    /// `live-restore`: leave containers running at a graceful stop.
    pub live_restore: bool,
    /// `shutdown-timeout`: how long a graceful stop waits for containers.
    pub shutdown_timeout: Duration,
    /// `default-stop-timeout`: seconds that a container which does not say otherwise has to end; less than 0 is forever.
    pub stop_timeout: i64,
    /// `labels`: of the engine itself, `key=value`.
    pub labels: Vec<String>,
    /// `default-shm-size`, bytes.
    pub shm_size: u64,
    /// `default-ipc-mode`: `private` or `shareable`.
    pub ipc_mode: String,
    /// `default-cgroupns-mode`: `private` or `host`.
    pub cgroupns_mode: String,
}

/// The [`Settings`] in force; clones share them.
#[derive(Debug, Clone)]
pub struct Shared(Arc<RwLock<Arc<Settings>>>);

impl Shared {
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(settings))))
    }

    /// As they are at this moment.
    pub fn get(&self) -> Arc<Settings> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, settings: Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}

#[derive(Debug, Clone, Default)]
pub struct Dns {
    pub servers: Vec<std::net::IpAddr>,
    pub options: Vec<String>,
    pub search: Vec<String>,
}

/// `log-driver`, `log-opts`.
#[derive(Debug, Clone)]
pub struct DefaultLog {
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}
