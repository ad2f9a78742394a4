//! Resource use, as cgroup v2 reports it (`Documentation/admin-guide/cgroup-v2.rst`).

use model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One reading. Without a cgroup, only `read` and `pids` are set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub read: Timestamp,
    pub cpu: Option<CpuStats>,
    pub memory: Option<MemoryStats>,
    pub pids: PidsStats,
    /// One entry a device.
    pub io: Vec<IoStats>,
}

/// `cpu.stat`, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    pub usage: u64,
    pub user: u64,
    pub system: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_time: u64,
}

/// `memory.current`, `memory.max`, `memory.stat`, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    pub usage: u64,
    pub max_usage: Option<u64>,
    /// None when unlimited.
    pub limit: Option<u64>,
    /// `memory.events`, `oom_kill`.
    pub oom_kills: u64,
    pub stat: BTreeMap<String, u64>,
}

/// `pids.current`, `pids.max`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidsStats {
    pub current: u64,
    /// None when unlimited.
    pub limit: Option<u64>,
}

/// One line of `io.stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoStats {
    pub major: u64,
    pub minor: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}
