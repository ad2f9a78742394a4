//! What belongs to the host that runs a container: resources, mounts, namespaces, ports.

use crate::{
    go::{self, Map, is_zero},
    mount::Mount,
    network::PortMap,
};
use serde::{Deserialize, Serialize};

/// Every field of API 1.51, in Go's order; Go's embedded `Resources` are the fields from `cpu_shares` on.
///
/// dockerd echoes `null` or `[]` as the client sent it; which of the two is written here is what the docker command
/// line sends.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// `source:target[:options]`
    #[serde(with = "go::list")]
    pub binds: Vec<String>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    /// `default`, `bridge`, `host`, `none`, `container:NAME`, or a network.
    pub network_mode: String,
    #[serde(with = "go::map_of_lists")]
    pub port_bindings: PortMap,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    #[serde(with = "go::list")]
    pub volumes_from: Vec<String>,
    /// Rows, columns.
    pub console_size: [u32; 2],
    #[serde(skip_serializing_if = "is_zero")]
    pub annotations: Map<String>,

    #[serde(serialize_with = "go::list::serialize", deserialize_with = "go::str_slice")]
    pub cap_add: Vec<String>,
    #[serde(serialize_with = "go::list::serialize", deserialize_with = "go::str_slice")]
    pub cap_drop: Vec<String>,
    pub cgroupns_mode: String,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    #[serde(with = "go::list")]
    pub extra_hosts: Vec<String>,
    #[serde(with = "go::list")]
    pub group_add: Vec<String>,
    pub ipc_mode: String,
    pub cgroup: String,
    #[serde(with = "go::list")]
    pub links: Vec<String>,
    pub oom_score_adj: i64,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    #[serde(with = "go::list")]
    pub security_opt: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub storage_opt: Map<String>,
    /// Path to options.
    #[serde(skip_serializing_if = "is_zero")]
    pub tmpfs: Map<String>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    /// Bytes.
    pub shm_size: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub sysctls: Map<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub runtime: String,
    pub isolation: String,

    pub cpu_shares: i64,
    /// Bytes.
    pub memory: i64,
    /// Billionths of a processor.
    pub nano_cpus: i64,
    pub cgroup_parent: String,
    pub blkio_weight: u16,
    pub blkio_weight_device: Vec<WeightDevice>,
    pub blkio_device_read_bps: Vec<ThrottleDevice>,
    pub blkio_device_write_bps: Vec<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Vec<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Vec<ThrottleDevice>,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    pub cpu_realtime_period: i64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Vec<DeviceMapping>,
    #[serde(with = "go::list")]
    pub device_cgroup_rules: Vec<String>,
    #[serde(with = "go::list")]
    pub device_requests: Vec<DeviceRequest>,
    /// Bytes. Read from old clients, refused by the engine when set.
    #[serde(skip_serializing_if = "is_zero")]
    pub kernel_memory: i64,
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_zero")]
    pub kernel_memory_tcp: i64,
    pub memory_reservation: i64,
    /// Memory and swap together, bytes; -1 unlimited.
    pub memory_swap: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub pids_limit: Option<i64>,
    pub ulimits: Vec<Ulimit>,
    pub cpu_count: i64,
    pub cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    pub io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    pub io_maximum_bandwidth: u64,

    #[serde(skip_serializing_if = "is_zero")]
    pub mounts: Vec<Mount>,
    /// None: the defaults. Empty: nothing is masked.
    pub masked_paths: Option<Vec<String>>,
    /// None: the defaults. Empty: nothing is made read-only.
    pub readonly_paths: Option<Vec<String>>,
    /// None: as the engine is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// Empty: the engine's default driver.
    pub r#type: String,
    pub config: Map<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// Empty or `no`, `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    pub maximum_retry_count: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    pub path: String,
    pub weight: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    pub path_on_host: String,
    pub path_in_container: String,
    /// Letters of `rwm`.
    pub cgroup_permissions: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    /// `cdi`, `nvidia`, or empty.
    pub driver: String,
    /// -1 is all.
    pub count: i64,
    #[serde(rename = "DeviceIDs", with = "go::list")]
    pub device_ids: Vec<String>,
    /// Any of these sets of which all are needed.
    #[serde(with = "go::list")]
    pub capabilities: Vec<Vec<String>>,
    #[serde(with = "go::map")]
    pub options: Map<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// As in `ulimit`: `nofile`, `nproc`, …
    pub name: String,
    /// -1 is unlimited.
    pub hard: i64,
    pub soft: i64,
}
