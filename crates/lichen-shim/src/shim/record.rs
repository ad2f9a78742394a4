//! What a shim writes down: who it is, for whoever takes its place, and how its container ended.

use model::{Id, ProcessRef, RunLayout, Timestamp};
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
    pub(super) personality: Option<u64>,
    /// Who is told of system calls when the filter asks for it.
    pub(super) listener: Option<runtime::Listener>,
    /// Who makes the container's connections, if anybody does.
    #[serde(default)]
    pub(super) connections: Option<super::connections::Record>,
}

impl Record {
    pub(super) fn write(&self, run: &RunLayout, id: &Id) -> io::Result<()> {
        write_whole(&run.shim_state(id), &serde_json::to_vec(self)?)
    }

    pub(super) fn read(run: &RunLayout, id: &Id) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(run.shim_state(id))?)?)
    }
}

/// The container's seccomp filter, which exec processes share. In a file, because it is larger than the rest of the
/// shim's memory and needed only for exec.
pub(super) fn seccomp(run: &RunLayout, id: &Id) -> PathBuf {
    run.shim(id).join("seccomp.bpf")
}

pub(super) fn write_exit(run: &RunLayout, id: &Id, exit: &ExitRecord) -> io::Result<()> {
    write_whole(&run.shim_exit(id), &serde_json::to_vec(exit)?)
}
