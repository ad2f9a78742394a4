//! `holder.json`: who the holder is, checked against reuse of its PID.

use crate::{Error, Result};
use model::{ProcessRef, RunLayout};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use sys::namespaces::{Kind, identity_of};

/// What identifies a holder and its namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderState {
    pub process: ProcessRef,
    pub namespaces: Inodes,
    /// Whether only one ID is mapped.
    pub single_id: bool,
}

/// Inode numbers of namespaces (namespaces(7), "The /proc/pid/ns/ directory").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inodes {
    pub user: u64,
    pub mount: u64,
}

impl Inodes {
    /// Those of a process; none for the caller.
    pub fn of(pid: Option<u32>) -> Result<Self> {
        Ok(Self { user: identity_of(pid, Kind::User)?.inode, mount: identity_of(pid, Kind::Mount)?.inode })
    }
}

impl HolderState {
    /// None when no holder was ever made here.
    pub fn read(run: &RunLayout) -> Result<Option<Self>> {
        let path = run.holder_state();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path)(e)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| Error::DamagedState { path, source })
    }

    pub(crate) fn write(&self, run: &RunLayout) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|source| Error::DamagedState { path: run.holder_state(), source })?;
        write_whole(&run.holder_state(), &text).map_err(Error::io("write", run.holder_state()))
    }

    /// Whether this very process still runs, in these namespaces.
    pub fn is_current(&self) -> bool {
        is_member(self.process, self.namespaces)
    }
}

/// Whether `process` is still the one that was meant and lives in these namespaces.
pub(crate) fn is_member(process: ProcessRef, namespaces: Inodes) -> bool {
    // The start time is checked after the namespaces: a PID reused in between fails one of the two.
    Inodes::of(Some(process.pid)).is_ok_and(|found| found == namespaces) && sys::process::is_alive(process)
}

/// Write a small file so that readers see the old one or all of the new one.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let partial = Path::new(&name);
    let mut file = fs::File::create(partial)?;
    file.write_all(bytes)?;
    fs::rename(partial, path)
}
