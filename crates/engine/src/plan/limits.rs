//! Resource limits: of the cgroup, and of setrlimit(2).

use crate::{Config, create::Invalid};
use api_types::{HostConfig, ThrottleDevice};
use rustix::process::{Resource, getrlimit};
use spec::{
    Rlimit,
    oci::{
        LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxCpuBuilder, LinuxMemory, LinuxMemoryBuilder,
        LinuxPidsBuilder, LinuxResources, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
    },
};
use std::collections::BTreeMap;

/// Docker's names of limits (go-units `ulimitNameMapping`).
const NAMES: &[(&str, Resource)] = &[
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Cgroup limits; only what was asked for is set.
pub(crate) fn resources(host: &HostConfig) -> LinuxResources {
    let mut resources = LinuxResources::default();
    resources.set_memory(memory(host));
    resources.set_cpu(cpu(host));
    resources.set_block_io(block_io(host));
    resources.set_devices(None);
    // 0 and negative are "unlimited" to Docker, -1 to the specification.
    let pids = host.pids_limit.map(|limit| if limit > 0 { limit } else { -1 });
    resources.set_pids(pids.and_then(|limit| LinuxPidsBuilder::default().limit(limit).build().ok()));
    resources
}

fn nonzero(value: i64) -> Option<i64> {
    Some(value).filter(|v| *v != 0)
}

fn memory(host: &HostConfig) -> Option<LinuxMemory> {
    let mut memory = LinuxMemoryBuilder::default().build().ok()?;
    memory.set_limit(nonzero(host.memory));
    memory.set_reservation(nonzero(host.memory_reservation));
    memory.set_swap(nonzero(host.memory_swap).filter(|_| host.memory > 0));
    let set = memory.limit().is_some() || memory.reservation().is_some() || memory.swap().is_some();
    set.then_some(memory)
}

fn cpu(host: &HostConfig) -> Option<LinuxCpu> {
    let mut cpu = LinuxCpuBuilder::default().build().ok()?;
    cpu.set_shares(u64::try_from(host.cpu_shares).ok().filter(|s| *s > 0));
    if host.nano_cpus > 0 {
        // A period of 100 ms, as moby has it.
        cpu.set_period(Some(100_000));
        cpu.set_quota(Some(host.nano_cpus * 100_000 / 1_000_000_000));
    } else {
        cpu.set_period(u64::try_from(host.cpu_period).ok().filter(|p| *p > 0));
        cpu.set_quota(nonzero(host.cpu_quota));
    }
    cpu.set_cpus(Some(host.cpuset_cpus.clone()).filter(|c| !c.is_empty()));
    cpu.set_mems(Some(host.cpuset_mems.clone()).filter(|c| !c.is_empty()));
    Some(cpu)
}

fn block_io(host: &HostConfig) -> Option<LinuxBlockIo> {
    let mut io = LinuxBlockIoBuilder::default().build().ok()?;
    io.set_weight(Some(host.blkio_weight).filter(|w| *w > 0));
    io.set_throttle_read_bps_device(throttles(&host.blkio_device_read_bps));
    io.set_throttle_write_bps_device(throttles(&host.blkio_device_write_bps));
    io.set_throttle_read_iops_device(throttles(&host.blkio_device_read_iops));
    io.set_throttle_write_iops_device(throttles(&host.blkio_device_write_iops));
    Some(io)
}

fn throttles(devices: &[ThrottleDevice]) -> Option<Vec<LinuxThrottleDevice>> {
    let throttle = |device: &ThrottleDevice| {
        let meta = rustix::fs::stat(&device.path).ok()?;
        LinuxThrottleDeviceBuilder::default()
            .major(i64::from(rustix::fs::major(meta.st_rdev)))
            .minor(i64::from(rustix::fs::minor(meta.st_rdev)))
            .rate(device.rate)
            .build()
            .ok()
    };
    let list: Vec<_> = devices.iter().filter_map(throttle).collect();
    (!list.is_empty()).then_some(list)
}

/// The limits of setrlimit(2): the engine's defaults and the request's own, none above what this process may raise to.
pub(crate) fn rlimits(host: &HostConfig, engine: &Config) -> Result<Vec<Rlimit>, Invalid> {
    let mut limits: BTreeMap<&str, (i64, i64)> =
        engine.default_ulimits.iter().map(|(name, u)| (name.as_str(), (u.soft, u.hard))).collect();
    for ulimit in &host.ulimits {
        limits.insert(&ulimit.name, (ulimit.soft, ulimit.hard));
    }
    limits.into_iter().map(|(name, (soft, hard))| rlimit(name, soft, hard)).collect()
}

fn rlimit(name: &str, soft: i64, hard: i64) -> Result<Rlimit, Invalid> {
    let invalid = |reason| Invalid::Ulimit { name: name.to_owned(), reason };
    let (_, resource) = NAMES.iter().find(|(n, _)| *n == name).ok_or_else(|| invalid("no such limit"))?;
    // -1 is no limit, which setrlimit(2) writes with all bits set.
    let (soft, hard) = (soft.cast_unsigned(), hard.cast_unsigned());
    if soft > hard {
        return Err(invalid("soft limit must be less than or equal to hard limit"));
    }
    let ceiling = getrlimit(*resource).maximum.unwrap_or(u64::MAX);
    Ok(Rlimit { name: name.to_owned(), soft: soft.min(ceiling), hard: hard.min(ceiling) })
}

/// The names of limits that [`rlimits`] lowers, for a warning.
pub(crate) fn clamped(host: &HostConfig) -> Vec<String> {
    let above = |u: &&api_types::Ulimit| {
        NAMES.iter().find(|(n, _)| *n == u.name).is_some_and(|(_, resource)| {
            u.hard.cast_unsigned() > getrlimit(*resource).maximum.unwrap_or(u64::MAX)
        })
    };
    host.ulimits.iter().filter(above).map(|u| u.name.clone()).collect()
}

/// What is asked for, but never below the engine's own: lowering needs CAP_SYS_RESOURCE in the initial user namespace
/// (proc_pid_oom_score_adj(5)).
pub(crate) fn oom_score_adj(host: &HostConfig) -> Option<i32> {
    let wanted = i32::try_from(host.oom_score_adj).ok().filter(|score| *score != 0)?;
    let own = std::fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|t| t.trim().parse().ok())
        .unwrap_or(0);
    Some(wanted.max(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_the_specifications_units() {
        let host = HostConfig {
            memory: 64 << 20,
            memory_swap: 128 << 20,
            nano_cpus: 1_500_000_000,
            pids_limit: Some(0),
            ..HostConfig::default()
        };
        let resources = resources(&host);
        assert_eq!(resources.memory().as_ref().unwrap().limit(), Some(64 << 20));
        assert_eq!(resources.cpu().as_ref().unwrap().quota(), Some(150_000));
        assert_eq!(resources.pids().as_ref().unwrap().limit(), -1);
    }

    #[test]
    fn ulimits_are_checked_and_lowered_to_what_is_possible() {
        assert_eq!(rlimit("nope", 1, 1).unwrap_err().to_string(), "invalid ulimit nope: no such limit");
        assert_eq!(
            rlimit("nofile", 2, 1).unwrap_err().to_string(),
            "invalid ulimit nofile: soft limit must be less than or equal to hard limit"
        );
        let ceiling = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(rlimit("nofile", 10, -1).unwrap().hard, ceiling);
    }
}
