//! Control groups: none at all, or a directory in a delegated cgroup v2 subtree.
//!
//! An unprivileged user may write to a cgroup only where it was delegated to them (cgroups(7), "Delegation"). Where
//! nothing is, containers run all the same: limits are discarded with a warning each, and whatever needs a cgroup
//! (pause, stats, update) says so.

mod limits;
mod oom;
mod stats;
mod v2;

pub use oom::OomWatch;
pub use stats::{CpuStats, IoStats, MemoryStats, PidsStats, Stats};
pub use v2::CgroupDir;

use crate::{Error, Result, Warning};
use oci_spec::runtime::LinuxResources;
use std::path::Path;

/// The cgroup of one container.
#[derive(Debug)]
pub enum Cgroup {
    /// None is usable. The reason is part of every warning.
    None {
        reason: String,
    },
    V2(CgroupDir),
}

impl Cgroup {
    pub fn none(reason: impl Into<String>) -> Self {
        Self::None { reason: reason.into() }
    }

    /// Makes the directory `name` below `parent`, a cgroup v2 directory that the caller may write to, and enables there
    /// the controllers that `parent` has.
    pub fn create(parent: &Path, name: &str) -> Result<Self> {
        CgroupDir::create(parent, name).map(Self::V2)
    }

    /// The existing directory `path`.
    pub fn open(path: &Path) -> Result<Self> {
        CgroupDir::open(path).map(Self::V2)
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::None { .. } => None,
            Self::V2(dir) => Some(dir.path()),
        }
    }

    pub(crate) fn dir(&self) -> Option<&CgroupDir> {
        match self {
            Self::None { .. } => None,
            Self::V2(dir) => Some(dir),
        }
    }

    fn required(&self, operation: &'static str) -> Result<&CgroupDir> {
        self.dir().ok_or(Error::NoCgroup { operation })
    }

    /// Sets every limit in `resources`, and returns those that cannot be enforced here.
    pub fn apply(&self, resources: &LinuxResources) -> Result<Vec<Warning>> {
        let settings = limits::settings(resources)?;
        match self {
            Self::None { reason } => Ok(settings.iter().map(|s| s.discarded(reason)).collect()),
            Self::V2(dir) => dir.apply(&settings),
        }
    }

    /// Stops every process in the group, and returns when all have (cgroup.freeze).
    pub fn freeze(&self) -> Result<()> {
        self.required("pause")?.set_frozen(true)
    }

    pub fn thaw(&self) -> Result<()> {
        self.required("resume")?.set_frozen(false)
    }

    pub fn is_frozen(&self) -> Result<bool> {
        self.dir().map_or(Ok(false), CgroupDir::is_frozen)
    }

    /// Sends SIGKILL to every process in the group and below (cgroup.kill, Linux 5.14; before that one by one).
    pub fn kill(&self) -> Result<()> {
        self.required("kill all")?.kill()
    }

    pub fn stats(&self) -> Result<Stats> {
        self.required("stats")?.stats()
    }

    /// The processes in the group and below.
    pub fn pids(&self) -> Result<Vec<u32>> {
        self.required("processes of a container")?.pids()
    }

    /// How often the kernel killed a process of the group for lack of memory; zero without a cgroup.
    pub fn oom_kills(&self) -> Result<u64> {
        self.dir().map_or(Ok(0), CgroupDir::oom_kills)
    }

    /// Removes the group, which must be empty of processes, and those below it.
    pub fn remove(&self) -> Result<()> {
        self.dir().map_or(Ok(()), CgroupDir::remove)
    }
}
