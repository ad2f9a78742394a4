//! What a shim writes down: who it is, for whoever takes its place, and how its container ended.

use model::{Id, ProcessRef, RunLayout, Timestamp};
use oci_spec::runtime::LinuxSeccomp;
use rootless::state::write_whole;
use serde::{Deserialize, Serialize};
use shim_proto::{Cgroup, ExitRecord, Io, LogConfig, RuntimeChoice, Stage};
use std::fs;
use std::io;
use std::path::PathBuf;

/// `shim.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) shim: ProcessRef,
    pub(super) init: ProcessRef,
    pub(super) stage: Stage,
    pub(super) started_at: Option<Timestamp>,
    pub(super) user: String,
    pub(super) io: Io,
    pub(super) log: LogConfig,
    pub(super) cgroup: Cgroup,
    pub(super) runtime: RuntimeChoice,
}

impl Record {
    pub(super) fn write(&self, run: &RunLayout, id: &Id) -> io::Result<()> {
        write_whole(&run.shim_state(id), &serde_json::to_vec(self)?)
    }

    pub(super) fn read(run: &RunLayout, id: &Id) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(run.shim_state(id))?)?)
    }
}

/// The container's seccomp rules, which exec processes share. In a file, because they are larger than the rest of the
/// shim's memory and needed only for exec.
fn seccomp_path(run: &RunLayout, id: &Id) -> PathBuf {
    run.shim(id).join("seccomp.json")
}

pub(super) fn write_seccomp(run: &RunLayout, id: &Id, seccomp: &LinuxSeccomp) -> io::Result<()> {
    write_whole(&seccomp_path(run, id), &serde_json::to_vec(seccomp)?)
}

/// None when the container is unconfined.
pub(super) fn read_seccomp(run: &RunLayout, id: &Id) -> io::Result<Option<LinuxSeccomp>> {
    match fs::read(seccomp_path(run, id)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

pub(super) fn write_exit(run: &RunLayout, id: &Id, exit: &ExitRecord) -> io::Result<()> {
    write_whole(&run.shim_exit(id), &serde_json::to_vec(exit)?)
}
