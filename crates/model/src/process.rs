//! A process that is still the one that was meant.

use serde::{Deserialize, Serialize};

/// A PID with what tells it from a later process of the same number.
///
/// The start time is field 22 of `/proc/PID/stat` (clock ticks since boot, proc_pid_stat(5)); a PID alone may have
/// been reused by the time it is read back from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessRef {
    pub pid: u32,
    pub start_time: u64,
}
