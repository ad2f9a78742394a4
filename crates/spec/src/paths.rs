//! The paths of /proc and /sys that a container may not read, or not write.

/// Masked unless the container is privileged (or `systempaths=unconfined`): an empty file or directory covers them.
///
/// `/proc/interrupts` and `powercap` are side channels: they tell one container of another's work.
pub const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only unless the container is privileged.
pub const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
