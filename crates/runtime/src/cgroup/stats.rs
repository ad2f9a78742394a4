//! What a cgroup v2 directory counts.

use super::CgroupDir;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counters of one container. A part is absent when its controller is not enabled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub cpu: CpuStats,
    pub memory: Option<MemoryStats>,
    pub pids: Option<PidsStats>,
    /// One entry a block device.
    pub io: Vec<IoStats>,
}

/// Times in microseconds. Usage is counted even without the cpu controller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    pub usage: u64,
    pub user: u64,
    pub system: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled: u64,
}

/// Bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    pub usage: u64,
    pub peak: Option<u64>,
    /// None: no limit.
    pub limit: Option<u64>,
    pub swap_usage: u64,
    /// None: no limit.
    pub swap_limit: Option<u64>,
    /// The lines of memory.stat.
    pub details: BTreeMap<String, u64>,
    pub oom_kills: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidsStats {
    pub current: u64,
    /// None: no limit.
    pub limit: Option<u64>,
}

/// Bytes and operations of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoStats {
    pub major: u32,
    pub minor: u32,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
    pub discarded_bytes: u64,
    pub discards: u64,
}

pub(super) fn read(dir: &CgroupDir) -> Result<Stats> {
    let cpu = dir.read_optional("cpu.stat")?.map(|t| cpu_stats(&t)).unwrap_or_default();
    let memory = match dir.read_optional("memory.current")? {
        Some(usage) => Some(memory_stats(dir, number(&usage))?),
        None => None,
    };
    let pids = match dir.read_optional("pids.current")? {
        Some(current) => Some(PidsStats { current: number(&current), limit: limit(dir, "pids.max")? }),
        None => None,
    };
    let io =
        dir.read_optional("io.stat")?.map(|t| t.lines().filter_map(io_stats).collect()).unwrap_or_default();
    Ok(Stats { cpu, memory, pids, io })
}

/// The value of one line of a flat-keyed file.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    flat_keyed(text).find_map(|(key, value)| (key == name).then_some(value))
}

fn flat_keyed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

fn limit(dir: &CgroupDir, file: &str) -> Result<Option<u64>> {
    Ok(dir.read_optional(file)?.and_then(|t| t.trim().parse().ok()))
}

fn cpu_stats(text: &str) -> CpuStats {
    let get = |name| field(text, name).unwrap_or(0);
    CpuStats {
        usage: get("usage_usec"),
        user: get("user_usec"),
        system: get("system_usec"),
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled: get("throttled_usec"),
    }
}

fn memory_stats(dir: &CgroupDir, usage: u64) -> Result<MemoryStats> {
    let details = dir.read_optional("memory.stat")?.unwrap_or_default();
    Ok(MemoryStats {
        usage,
        peak: limit(dir, "memory.peak")?,
        limit: limit(dir, "memory.max")?,
        swap_usage: limit(dir, "memory.swap.current")?.unwrap_or(0),
        swap_limit: limit(dir, "memory.swap.max")?,
        details: flat_keyed(&details).map(|(k, v)| (k.to_owned(), v)).collect(),
        oom_kills: dir.oom_kills()?,
    })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`; a device that was never used has no fields.
fn io_stats(line: &str) -> Option<IoStats> {
    let (device, fields) = line.split_once(' ')?;
    let (major, minor) = device.split_once(':')?;
    let get = |name| {
        let value = fields.split_whitespace().find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|v| v.parse().ok()).unwrap_or(0)
    };
    Some(IoStats {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        read_bytes: get("rbytes"),
        written_bytes: get("wbytes"),
        reads: get("rios"),
        writes: get("wios"),
        discarded_bytes: get("dbytes"),
        discards: get("dios"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_kernel_writes_them() {
        let cpu = cpu_stats(
            "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 9\n",
        );
        assert_eq!(
            cpu,
            CpuStats { usage: 5, user: 3, system: 2, periods: 7, throttled_periods: 1, throttled: 9 }
        );
        let io = io_stats("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6").unwrap();
        assert_eq!((io.major, io.minor, io.read_bytes, io.discards), (8, 16, 1, 6));
        assert_eq!(io_stats("nonsense"), None);
        assert_eq!(field("populated 1\nfrozen 0\n", "frozen"), Some(0));
    }
}
