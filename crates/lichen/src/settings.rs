//! What a user may say about an engine, after flags, `daemon.json` and environment were put together.
//!
//! The launcher makes a [`Settings`] and hands it, as JSON, to every engine process it starts.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

/// The names are those of `daemon.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub pidfile: PathBuf,
    pub hosts: Vec<String>,
    pub debug: bool,
    pub log_level: String,
    pub log_format: String,

    pub tls: bool,
    pub tlsverify: bool,
    pub tlscacert: Option<PathBuf>,
    pub tlscert: Option<PathBuf>,
    pub tlskey: Option<PathBuf>,

    pub storage_driver: Option<String>,
    pub registry_mirrors: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub max_concurrent_downloads: usize,

    pub default_runtime: Option<String>,
    pub runtimes: BTreeMap<String, Runtime>,
    pub default_ulimits: BTreeMap<String, Ulimit>,
    pub default_shm_size: u64,
    pub default_ipc_mode: String,
    pub default_cgroupns_mode: String,
    pub init: bool,
    pub init_path: Option<PathBuf>,
    pub seccomp_profile: Option<String>,
    pub no_new_privileges: bool,
    pub log_driver: String,
    pub log_opts: BTreeMap<String, String>,
    pub labels: Vec<String>,
    pub live_restore: bool,
    /// Seconds.
    pub shutdown_timeout: i64,

    pub bridge: Option<String>,
    pub bip: Option<String>,
    pub fixed_cidr: Option<String>,
    pub default_gateway: Option<Ipv4Addr>,
    pub default_address_pools: Vec<AddressPool>,
    pub mtu: Option<u32>,
    pub icc: bool,
    pub ip: Option<IpAddr>,
    pub dns: Vec<IpAddr>,
    pub dns_opts: Vec<String>,
    pub dns_search: Vec<String>,
    pub host_gateway_ips: Vec<IpAddr>,

    /// How packets leave; RootlessKit's `--net`.
    pub net: String,
    pub net_mtu: u32,
    pub port_driver: String,
    pub slirp4netns_sandbox: String,
    pub slirp4netns_seccomp: String,
    pub disable_host_loopback: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Runtime {
    pub path: String,
    pub runtime_args: Vec<String>,
}

/// As `daemon.json` spells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Ulimit {
    #[serde(default)]
    pub name: String,
    pub hard: i64,
    pub soft: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressPool {
    pub base: String,
    pub size: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_root: PathBuf::new(),
            exec_root: PathBuf::new(),
            pidfile: PathBuf::new(),
            hosts: vec![],
            debug: false,
            log_level: "info".to_owned(),
            log_format: "text".to_owned(),
            tls: false,
            tlsverify: false,
            tlscacert: None,
            tlscert: None,
            tlskey: None,
            storage_driver: None,
            registry_mirrors: vec![],
            insecure_registries: vec![],
            max_concurrent_downloads: 3,
            default_runtime: None,
            runtimes: BTreeMap::new(),
            default_ulimits: BTreeMap::new(),
            default_shm_size: 64 << 20,
            default_ipc_mode: "private".to_owned(),
            default_cgroupns_mode: "private".to_owned(),
            init: false,
            init_path: None,
            seccomp_profile: None,
            no_new_privileges: false,
            log_driver: "json-file".to_owned(),
            log_opts: BTreeMap::new(),
            labels: vec![],
            live_restore: false,
            shutdown_timeout: 15,
            bridge: None,
            bip: None,
            fixed_cidr: None,
            default_gateway: None,
            default_address_pools: vec![],
            mtu: None,
            icc: true,
            ip: None,
            dns: vec![],
            dns_opts: vec![],
            dns_search: vec![],
            host_gateway_ips: vec![],
            net: "auto".to_owned(),
            net_mtu: 65_520,
            port_driver: "lichen".to_owned(),
            slirp4netns_sandbox: "auto".to_owned(),
            slirp4netns_seccomp: "auto".to_owned(),
            disable_host_loopback: true,
        }
    }
}
