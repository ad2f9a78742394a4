//! From the resources of the OCI specification, in the terms of cgroup v1, to the files of cgroup v2.

use crate::{Error, Result, Warning};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The field of the specification it comes from.
    pub(super) limit: &'static str,
    pub(super) file: String,
    pub(super) value: String,
    /// File and value where the first file does not exist.
    pub(super) otherwise: Option<(String, String)>,
}

impl Setting {
    fn new(limit: &'static str, file: &str, value: impl ToString) -> Self {
        Self { limit, file: file.to_owned(), value: value.to_string(), otherwise: None }
    }

    /// A limit that only cgroup v1 has: no file of this name exists, so that it ends as a discarded one.
    fn of_v1(limit: &'static str) -> Self {
        Self::new(limit, limit, "")
    }

    pub(super) fn discarded(&self, reason: &str) -> Warning {
        Warning::LimitDiscarded { limit: self.limit.to_owned(), reason: reason.to_owned() }
    }
}

/// Every limit that `resources` sets, in the order in which the files are to be written.
///
/// Rules for devices are left out: only real root can attach the program that enforces them, and in a user namespace no
/// device can be made that was not given.
pub(super) fn settings(resources: &LinuxResources) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_settings(memory, &mut settings)?;
    }
    if let Some(cpu) = resources.cpu() {
        cpu_settings(cpu, &mut settings);
    }
    if let Some(pids) = resources.pids() {
        // The specification leaves 0 and below to the runtime; runc and Docker take them for "no limit".
        settings.push(Setting::new("pids.limit", "pids.max", limit_or_max(pids.limit())));
    }
    if let Some(io) = resources.block_io() {
        io_settings(io, &mut settings);
    }
    for hugepage in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.max", hugepage.page_size());
        settings.push(Setting::new("hugepageLimits", &file, hugepage.limit()));
    }
    for (device, limits) in resources.rdma().iter().flatten() {
        let part = |name, value: Option<u32>| value.map(|v| format!(" {name}={v}")).unwrap_or_default();
        let handles = part("hca_handle", limits.hca_handles());
        let objects = part("hca_object", limits.hca_objects());
        settings.push(Setting::new("rdma", "rdma.max", format!("{device}{handles}{objects}")));
    }
    if resources.network().as_ref().is_some_and(|n| n.class_id().is_some() || n.priorities().is_some()) {
        settings.push(Setting::of_v1("network"));
    }
    let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
    unified.sort();
    for (file, value) in unified {
        if file.contains('/') {
            return Err(Error::Spec {
                field: "linux.resources.unified",
                reason: format!("{file:?} is no file name"),
            });
        }
        settings.push(Setting::new("unified", file, value));
    }
    Ok(settings)
}

fn limit_or_max(limit: i64) -> String {
    if limit > 0 { limit.to_string() } else { "max".to_owned() }
}

/// `swap` counts memory and swap together; cgroup v2 counts swap alone.
fn memory_settings(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<()> {
    if let Some(swap) = memory.swap().filter(|s| *s != 0) {
        let limit = memory.limit().unwrap_or(0);
        let value = match (swap, limit) {
            (..0, _) => "max".to_owned(),
            (_, ..=0) => {
                let reason = "a swap limit needs a memory limit".to_owned();
                return Err(Error::Spec { field: "linux.resources.memory.swap", reason });
            }
            (swap, limit) if swap < limit => {
                let reason = format!("{swap} (memory and swap together) is below the memory limit {limit}");
                return Err(Error::Spec { field: "linux.resources.memory.swap", reason });
            }
            (swap, limit) => (swap - limit).to_string(),
        };
        settings.push(Setting::new("memory.swap", "memory.swap.max", value));
    }
    if let Some(limit) = memory.limit().filter(|l| *l != 0) {
        settings.push(Setting::new("memory.limit", "memory.max", limit_or_max(limit)));
    }
    if let Some(reservation) = memory.reservation().filter(|r| *r != 0) {
        settings.push(Setting::new("memory.reservation", "memory.low", limit_or_max(reservation)));
    }
    let only_v1 = [
        ("memory.kernel", memory.kernel().is_some_and(|l| l > 0)),
        ("memory.kernelTCP", memory.kernel_tcp().is_some_and(|l| l > 0)),
        ("memory.swappiness", memory.swappiness().is_some()),
        ("memory.disableOOMKiller", memory.disable_oom_killer() == Some(true)),
    ];
    settings.extend(only_v1.iter().filter(|(_, set)| *set).map(|(name, _)| Setting::of_v1(name)));
    Ok(())
}

fn cpu_settings(cpu: &LinuxCpu, settings: &mut Vec<Setting>) {
    if let Some(shares) = cpu.shares().filter(|s| *s != 0) {
        settings.push(Setting::new("cpu.shares", "cpu.weight", weight_of_shares(shares)));
    }
    if cpu.quota().is_some() || cpu.period().is_some() {
        let quota = limit_or_max(cpu.quota().unwrap_or(0));
        let period = cpu.period().filter(|p| *p != 0).unwrap_or(100_000);
        settings.push(Setting::new("cpu.quota", "cpu.max", format!("{quota} {period}")));
    }
    if let Some(burst) = cpu.burst() {
        settings.push(Setting::new("cpu.burst", "cpu.max.burst", burst));
    }
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new("cpu.idle", "cpu.idle", idle));
    }
    if let Some(cpus) = cpu.cpus().as_deref().filter(|c| !c.is_empty()) {
        settings.push(Setting::new("cpu.cpus", "cpuset.cpus", cpus));
    }
    if let Some(mems) = cpu.mems().as_deref().filter(|m| !m.is_empty()) {
        settings.push(Setting::new("cpu.mems", "cpuset.mems", mems));
    }
    if cpu.realtime_runtime().is_some() || cpu.realtime_period().is_some() {
        settings.push(Setting::of_v1("cpu.realtimeRuntime"));
    }
}

/// Shares 2…262144 to weights 1…10000, linearly, as runc and systemd do (runc, `ConvertCPUSharesToCgroupV2Value`).
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// Weights 10…1000 of the BFQ scheduler to 1…10000 of the io controller (runc, `ConvertBlkIOToIOWeightValue`).
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990
}

fn io_settings(io: &LinuxBlockIo, settings: &mut Vec<Setting>) {
    let weigh = |limit, device: &str, weight: u16| Setting {
        otherwise: Some(("io.weight".to_owned(), format!("{device} {}", io_weight(weight)))),
        ..Setting::new(limit, "io.bfq.weight", format!("{device} {weight}"))
    };
    if let Some(weight) = io.weight().filter(|w| *w != 0) {
        settings.push(weigh("blockIO.weight", "default", weight));
    }
    for device in io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let number = format!("{}:{}", device.major(), device.minor());
            settings.push(weigh("blockIO.weightDevice", &number, weight));
        }
    }
    if io.leaf_weight().is_some_and(|w| w != 0) {
        settings.push(Setting::of_v1("blockIO.leafWeight"));
    }
    let mut throttle = |limit, key, devices: &Option<Vec<LinuxThrottleDevice>>| {
        for device in devices.iter().flatten() {
            let value = format!("{}:{} {key}={}", device.major(), device.minor(), device.rate());
            settings.push(Setting::new(limit, "io.max", value));
        }
    };
    throttle("blockIO.throttleReadBpsDevice", "rbps", io.throttle_read_bps_device());
    throttle("blockIO.throttleWriteBpsDevice", "wbps", io.throttle_write_bps_device());
    throttle("blockIO.throttleReadIOPSDevice", "riops", io.throttle_read_iops_device());
    throttle("blockIO.throttleWriteIOPSDevice", "wiops", io.throttle_write_iops_device());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &[(&str, &str)]) {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        let settings = settings(&resources).unwrap();
        let found: Vec<_> = settings.iter().map(|s| (s.file.as_str(), s.value.as_str())).collect();
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn resources_become_the_files_of_v2() {
        check(
            r#"{"memory":{"limit":1048576,"swap":3145728}}"#,
            &[("memory.swap.max", "2097152"), ("memory.max", "1048576")],
        );
        check(r#"{"memory":{"limit":-1,"swap":-1}}"#, &[("memory.swap.max", "max"), ("memory.max", "max")]);
        check(
            r#"{"cpu":{"shares":1024,"quota":50000,"period":100000}}"#,
            &[("cpu.weight", "39"), ("cpu.max", "50000 100000")],
        );
        check(r#"{"pids":{"limit":0}}"#, &[("pids.max", "max")]);
        check(
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1024}]}}"#,
            &[("io.max", "8:0 rbps=1024")],
        );
    }

    #[test]
    fn impossible_swap_is_refused() {
        for json in [r#"{"memory":{"swap":1024}}"#, r#"{"memory":{"limit":2048,"swap":1024}}"#] {
            let resources: LinuxResources = serde_json::from_str(json).unwrap();
            assert!(matches!(settings(&resources), Err(Error::Spec { .. })), "{json}");
        }
    }

    #[test]
    fn shares_span_the_weights() {
        assert_eq!((weight_of_shares(2), weight_of_shares(262_144)), (1, 10_000));
    }
}
