//! Resource limits: checked, and discarded with Docker's warnings where the host cannot enforce them (moby
//! `verifyPlatformContainerResources`). Also what `update` checks.

use super::Invalid;
use crate::cgroups::{Cgroups, MOUNT};
use api_types::HostConfig;
use std::{ops::RangeInclusive, path::Path};

/// 6 MiB: below it no container starts.
const MEMORY_MIN: i64 = 6 << 20;

/// Discards from `host` what cannot be enforced, and returns the warnings about it.
///
/// # Errors
/// [`Invalid::Limit`] for limits that make no sense anywhere.
pub fn check(host: &mut HostConfig, cgroups: &Cgroups, update: bool) -> Result<Vec<String>, Invalid> {
    let mut warnings = Vec::new();
    cgroups.check_parent(&host.cgroup_parent).map_err(|e| Invalid::Limit(e.to_string()))?;
    memory(host, cgroups.has("memory"), update, &mut warnings)?;
    pids(host, cgroups.has("pids"), &mut warnings);
    cpu(host, cgroups.has("cpu"), &mut warnings)?;
    cpuset(host, cgroups.has("cpuset"), &mut warnings)?;
    block_io(host, cgroups.has("io"), &mut warnings)?;
    Ok(warnings)
}

fn limit<T>(text: &str) -> Result<T, Invalid> {
    Err(Invalid::Limit(text.to_owned()))
}

fn discard(warnings: &mut Vec<String>, text: &str) {
    warnings.push(text.to_owned());
}

fn memory(
    host: &mut HostConfig,
    usable: bool,
    update: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Invalid> {
    if host.kernel_memory != 0 {
        return limit("kernel memory limits are not supported: the kernel removed them (Linux 5.16)");
    }
    // -1 is how old clients say "unset" (moby fixMemorySwappiness).
    host.memory_swappiness = host.memory_swappiness.filter(|s| *s != -1);
    if host.memory != 0 && host.memory < MEMORY_MIN {
        return limit("Minimum memory limit allowed is 6MB");
    }
    if host.memory > 0 && !usable {
        discard(
            warnings,
            "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
        );
        host.memory = 0;
        host.memory_swap = -1;
    }
    if host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory {
        return limit("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if host.memory == 0 && host.memory_swap > 0 && !update {
        return limit("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if host.memory_swappiness.is_some() {
        // cgroup v2 has no swappiness of its own.
        discard(
            warnings,
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
        );
        host.memory_swappiness = None;
    }
    if host.memory_reservation > 0 && !usable {
        discard(
            warnings,
            "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
        );
        host.memory_reservation = 0;
    }
    if host.memory_reservation > 0 && host.memory_reservation < MEMORY_MIN {
        return limit("Minimum memory reservation allowed is 6MB");
    }
    if host.memory > 0 && host.memory_reservation > 0 && host.memory < host.memory_reservation {
        return limit("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    // Nor can it keep the OOM killer away.
    if host.oom_kill_disable.take() == Some(true) {
        discard(warnings, "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    }
    Ok(())
}

fn pids(host: &mut HostConfig, usable: bool, warnings: &mut Vec<String>) {
    if !usable && host.pids_limit.take().is_some_and(|limit| limit > 0) {
        discard(
            warnings,
            "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
        );
    }
}

fn cpu(host: &mut HostConfig, usable: bool, warnings: &mut Vec<String>) -> Result<(), Invalid> {
    if host.nano_cpus > 0 && host.cpu_period > 0 {
        return limit("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if host.nano_cpus > 0 && host.cpu_quota > 0 {
        return limit("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    if host.nano_cpus > 0 && !usable {
        return limit(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        );
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if host.nano_cpus < 0 || host.nano_cpus > 1_000_000_000 * i64::try_from(processors).unwrap_or(i64::MAX) {
        return Err(Invalid::Limit(format!(
            "range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        )));
    }
    if host.cpu_shares < 0 {
        let shares = host.cpu_shares;
        return Err(Invalid::Limit(format!(
            "invalid CPU shares ({shares}): value must be a positive integer"
        )));
    }
    if host.cpu_shares > 0 && !usable {
        discard(
            warnings,
            "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
        );
        host.cpu_shares = 0;
    }
    if (host.cpu_period != 0 || host.cpu_quota != 0) && !usable {
        discard(warnings, "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
        host.cpu_period = 0;
        host.cpu_quota = 0;
    }
    if host.cpu_period != 0 && !(1_000..=1_000_000).contains(&host.cpu_period) {
        return limit("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1_000 {
        return limit("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if host.cpu_percent > 0 {
        discard(warnings, "linux does not support CPU percent. Percent discarded.");
        host.cpu_percent = 0;
    }
    Ok(())
}

fn cpuset(host: &mut HostConfig, usable: bool, warnings: &mut Vec<String>) -> Result<(), Invalid> {
    for (list, what, things, file) in [
        (&host.cpuset_cpus, "cpuset cpus", "CPUs", "cpuset.cpus.effective"),
        (&host.cpuset_mems, "cpuset mems", "memory nodes", "cpuset.mems.effective"),
    ] {
        if list.is_empty() {
            continue;
        }
        let Some(wanted) = ranges(list) else {
            return Err(Invalid::Limit(format!("Invalid value {list} for {what}")));
        };
        // The root of the hierarchy tells what the machine has; without it the kernel is left to refuse.
        let Ok(there) = std::fs::read_to_string(Path::new(MOUNT).join(file)) else { continue };
        if usable && !within(&wanted, &ranges(&there).unwrap_or_default()) {
            return Err(Invalid::Limit(format!(
                "Requested {things} are not available - requested {list}, available: {}",
                there.trim()
            )));
        }
    }
    if (!host.cpuset_cpus.is_empty() || !host.cpuset_mems.is_empty()) && !usable {
        discard(
            warnings,
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
        );
        host.cpuset_cpus.clear();
        host.cpuset_mems.clear();
    }
    Ok(())
}

/// `0-3,5` (cpuset(7), "List format").
fn ranges(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.parse().ok()?..=last.parse().ok()?;
        (!range.is_empty()).then_some(range)
    };
    text.trim().split(',').map(range).collect()
}

/// The kernel joins neighbours, so that what there is lies in one range of it.
fn within(wanted: &[RangeInclusive<u32>], there: &[RangeInclusive<u32>]) -> bool {
    wanted.iter().all(|w| there.iter().any(|t| t.contains(w.start()) && t.contains(w.end())))
}

fn block_io(host: &mut HostConfig, usable: bool, warnings: &mut Vec<String>) -> Result<(), Invalid> {
    if host.blkio_weight > 0 && !usable {
        discard(
            warnings,
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
        );
        host.blkio_weight = 0;
    }
    if host.blkio_weight > 0 && !(10..=1000).contains(&host.blkio_weight) {
        return limit("Range of blkio weight is from 10 to 1000");
    }
    if host.io_maximum_bandwidth != 0 || host.io_maximum_iops != 0 {
        return limit("Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps");
    }
    if !host.blkio_weight_device.is_empty() && !usable {
        discard(
            warnings,
            "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
        );
        host.blkio_weight_device.clear();
    }
    for (devices, what) in [
        (&mut host.blkio_device_read_bps, "BPS Block I/O read"),
        (&mut host.blkio_device_write_bps, "BPS Block I/O write"),
        (&mut host.blkio_device_read_iops, "IOPS Block read"),
        (&mut host.blkio_device_write_iops, "IOPS Block write"),
    ] {
        if !devices.is_empty() && !usable {
            let kind = what.replace("BPS Block I/O", "Block I/O BPS").replace("IOPS Block", "Block I/O IOPS");
            warnings.push(format!(
                "Your kernel does not support {what} limit or the cgroup is not mounted. {kind} limit discarded."
            ));
            devices.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Cgroups {
        let controllers = ["cpu", "cpuset", "io", "memory", "pids"].map(str::to_owned).into();
        Cgroups::Cgroupfs { parent: "x".into(), controllers }
    }

    #[test]
    fn without_cgroups_limits_are_discarded_with_dockers_warnings() {
        let mut host = HostConfig {
            memory: 64 << 20,
            memory_swap: 128 << 20,
            cpu_shares: 512,
            pids_limit: Some(10),
            cpuset_cpus: "0".into(),
            ..HostConfig::default()
        };
        let warnings = check(&mut host, &Cgroups::None, false).unwrap();
        assert_eq!(
            warnings,
            [
                "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
                "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
                "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
                "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
            ]
        );
        assert_eq!((host.memory, host.cpu_shares, host.pids_limit), (0, 0, None));
    }

    #[test]
    fn with_cgroups_sensible_limits_stay() {
        let wanted = HostConfig { memory: 64 << 20, pids_limit: Some(10), ..HostConfig::default() };
        let mut host = wanted.clone();
        assert_eq!(check(&mut host, &all(), false).unwrap(), Vec::<String>::new());
        assert_eq!(host, wanted);
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut HostConfig), text: &str) {
        let mut host = HostConfig::default();
        change(&mut host);
        assert_eq!(check(&mut host, &all(), false).unwrap_err().to_string(), text);
    }

    #[test]
    fn senseless_limits_are_refused() {
        refused(|h| h.memory = 1024, "Minimum memory limit allowed is 6MB");
        refused(
            |h| h.memory_swap = 1 << 30,
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
        refused(
            |h| (h.memory, h.memory_swap) = (64 << 20, 32 << 20),
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        );
        refused(|h| h.cpuset_cpus = "0-".into(), "Invalid value 0- for cpuset cpus");
        refused(|h| h.cpu_quota = 1, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }

    #[test]
    fn what_there_is_is_compared_by_ranges() {
        let check = |wanted: &str, there: &str| within(&ranges(wanted).unwrap(), &ranges(there).unwrap());
        assert!(check("0,2-3", "0-3\n"));
        assert!(check("5", "0-3,5"));
        assert!(!check("0-4294967295", "0-3"));
        assert!(!check("4", "0-3,5"));
        assert_eq!(ranges("3-1"), None);
    }

    #[test]
    fn without_cgroups_throttles_are_discarded_each_with_its_text() {
        let device = api_types::ThrottleDevice { path: "/dev/sda".into(), rate: 1 };
        let mut host = HostConfig {
            blkio_device_read_bps: vec![device.clone()],
            blkio_device_write_iops: vec![device],
            ..HostConfig::default()
        };
        assert_eq!(
            check(&mut host, &Cgroups::None, false).unwrap(),
            [
                "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
                "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
            ]
        );
    }
}
