//! The paths of /proc and /sys that a container may not read, or not write.

/// Masked unless the container is privileged (or `systempaths=unconfined`): an empty file or directory covers them.
///
/// In moby's order (`oci/defaults.go`), which clients see in `HostConfig`. `/proc/interrupts` and `powercap` are side channels: they tell one container of another's work.
pub const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Read-only unless the container is privileged.
pub const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
