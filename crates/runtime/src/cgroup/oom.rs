//! Learning that the kernel killed for lack of memory when it happens.

use super::{Cgroup, stats, v2::read_whole};
use crate::{Error, Result};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

/// The group's `memory.events` (kernel, admin-guide/cgroup-v2.rst), to be polled for POLLPRI.
#[derive(Debug)]
pub struct OomWatch {
    file: OwnedFd,
    path: PathBuf,
    kills: u64,
}

impl Cgroup {
    /// None without a cgroup, or without the memory controller.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let Some(dir) = self.dir() else { return Ok(None) };
        let Some((file, path)) = dir.memory_events()? else { return Ok(None) };
        let mut watch = OomWatch { file, path, kills: 0 };
        // A file that was never read counts as changed (kernel `fs/kernfs/file.c`, `kernfs_generic_poll`).
        watch.more()?;
        Ok(Some(watch))
    }
}

impl OomWatch {
    /// Whether there were kills since this was last asked.
    pub fn more(&mut self) -> Result<bool> {
        let text = read_whole(&self.file).map_err(|e| Error::Cgroup {
            path: self.path.clone(),
            file: "memory.events".to_owned(),
            source: e.into(),
        })?;
        let before = std::mem::replace(&mut self.kills, stats::field(&text, "oom_kill").unwrap_or(0));
        Ok(self.kills > before)
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
