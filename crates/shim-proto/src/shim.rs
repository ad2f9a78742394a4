//! Engine ↔ shim. Every request gets one reply with the request's sequence number, in the order of the requests;
//! events carry sequence number 0 and may come between.

use crate::{Failure, ProtoError, Stats};
use model::{Id, ProcessRef, Rootfs, Timestamp};
use oci_spec::runtime::{LinuxResources, Process, Spec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A request to a shim.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToShim {
    /// Prepare the container up to, not including, its program. Descriptor: the network namespace to join, if
    /// [`Create::joins_netns`]. Answered by [`FromShim::Created`].
    Create(Box<Create>),
    /// Run the container's program. Answered by [`FromShim::Started`].
    Start,
    /// Connect a stream to the container's stdio. Descriptor: one end of a stream socket pair.
    /// Allowed from `Create` on, so that no output is missed. Answered by [`FromShim::Attached`].
    Attach(Attach),
    /// Run a further process in the container. Descriptor: a stream as for `Attach`, when `attach` is set.
    /// Answered by [`FromShim::ExecStarted`]; its end by the event [`FromShim::ExecExited`].
    Exec(Box<Exec>),
    /// Set a terminal's size. Answered by [`FromShim::Done`].
    Resize { target: Target, size: WindowSize },
    /// Send a signal. Answered by [`FromShim::Done`]; the class is `NoSuchObject` when the process has ended.
    Signal { target: Target, signal: i32 },
    /// End of the process's standard input, after what is still queued. Answered by [`FromShim::Done`].
    CloseStdin { target: Target },
    /// Freeze every process of the container. Answered by [`FromShim::Done`].
    Pause,
    /// Thaw it. Answered by [`FromShim::Done`].
    Resume,
    /// Change cgroup limits. Answered by [`FromShim::Done`].
    Update { resources: Box<LinuxResources> },
    /// Answered by [`FromShim::Stats`].
    Stats,
    /// The container's processes, as the engine's PID namespace numbers them. Answered by [`FromShim::Pids`].
    Pids,
    /// What is so now, including what happened while no engine was connected. Answered by [`FromShim::State`].
    State,
    /// End the shim: after the container's exit, or before its start (which undoes `Create`); a running container is
    /// a conflict. The shim's directory is removed. Answered by [`FromShim::Done`], then the connection closes.
    Shutdown,
}

/// A shim's reply or event.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromShim {
    Created {
        pid: u32,
    },
    Started {
        process: ProcessRef,
        at: Timestamp,
    },
    /// Output up to `at` is in the log, later output comes by the stream; so a log read until `at`, followed by the
    /// stream, is gapless and free of repeats.
    Attached {
        at: Timestamp,
    },
    ExecStarted {
        pid: u32,
    },
    Stats(Box<Stats>),
    Pids {
        pids: Vec<u32>,
    },
    State(Box<ShimStatus>),
    Done,
    Failed(Failure),
    /// Event: the container's init ended, its output is complete, and the record is in `RunLayout::shim_exit()`.
    Exited(ExitRecord),
    /// Event: an exec process ended and its output is complete.
    ExecExited(ExecExit),
    /// Event: a client left by its detach keys; its stream is closed, the process runs on.
    Detached {
        target: Target,
    },
    /// Event: the kernel killed a process of the container for memory.
    OutOfMemory,
}

/// Everything a shim needs to make its container.
#[derive(Debug, Serialize, Deserialize)]
pub struct Create {
    pub id: Id,
    /// Complete but for `process.user` and `HOME`, which depend on the mounted root file system: see `user`.
    pub spec: Spec,
    pub rootfs: Rootfs,
    pub user: UserRequest,
    pub runtime: RuntimeChoice,
    pub io: Io,
    pub log: LogConfig,
    pub cgroup: Cgroup,
    /// The container's directory in the data root.
    pub dir: PathBuf,
    /// A network namespace descriptor comes with the message.
    pub joins_netns: bool,
    /// Connections to the world are made by sockets of the host's; this file says where to (`bypass::policy`).
    #[serde(default)]
    pub bypass: Option<PathBuf>,
    /// Trees of images, which some of the specification's binds are of.
    #[serde(default)]
    pub images: Vec<ImageMount>,
}

/// An image's tree, mounted read-only (`--mount type=image`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMount {
    /// What the bind in the specification names; nothing is there.
    pub source: PathBuf,
    pub rootfs: Rootfs,
    /// Below the tree, whose links may not lead out of it; empty for all of it.
    pub subpath: String,
}

/// `--user` and `--group-add`, resolved by the shim against the container's own passwd and group files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRequest {
    /// `USER[:GROUP]` by name or number; empty for root.
    pub user: String,
    /// Further groups by name or number.
    pub groups: Vec<String>,
}

/// What turns the specification into a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuntimeChoice {
    /// Crate `runtime`, in the shim's own process.
    Builtin,
    /// A program with the OCI runtime command line. `args` come before the verb.
    External { path: PathBuf, args: Vec<String> },
}

/// A process's standard streams.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Io {
    /// A pseudo-terminal instead of pipes.
    pub tty: bool,
    /// Standard input is a pipe that attached clients feed; otherwise it is `/dev/null`.
    pub open_stdin: bool,
    /// Standard input ends when the first client that fed it leaves or ends its stream.
    pub stdin_once: bool,
    /// The terminal's first size.
    pub size: Option<WindowSize>,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// Where the container's output is kept: the driver's name and options as crate `logs` reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// `json-file`, `local`, `none`, `journald` or `syslog`.
    pub driver: String,
    /// The log file; rotated files lie beside it.
    pub path: PathBuf,
    pub options: BTreeMap<String, String>,
    /// What accompanies each line: labels and variables chosen by `labels` and `env`; in `json-file` `tag` too.
    #[serde(default)]
    pub attrs: BTreeMap<String, String>,
    /// Where the lines of many containers come together: what this one and its image are called, and its rendered tag.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub image: String,
    #[serde(default)]
    pub tag: String,
}

/// How the container's resource limits are enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cgroup {
    /// Not at all; the container stays in the holder's cgroup.
    None,
    /// A directory of the unified hierarchy, made by the shim and removed after the exit. Relative to the cgroup mount.
    Cgroupfs { path: PathBuf },
}

/// A process of the container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    Init,
    Exec(Id),
}

/// A client's connection to a process's stdio.
///
/// The client writes raw bytes for standard input and ends it with `shutdown(SHUT_WR)`. The shim writes raw bytes when
/// the process has a terminal, else Docker's frames (stream number 1 or 2, three zero bytes, length as u32 big-endian),
/// and closes the stream when the output is complete, on detach, or when the client falls too far behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub detach_keys: DetachKeys,
}

/// The bytes that detach a client from a terminal, in order; empty for none. The API's default is 16, 17 (`ctrl-p,ctrl-q`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DetachKeys(pub Vec<u8>);

/// A further process in a running container.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exec {
    pub id: Id,
    /// Complete but for `user` and `HOME`.
    pub process: Process,
    /// An empty `user` means the container's own.
    pub user: UserRequest,
    pub io: Io,
    /// When set, a stream comes with the message; without it output is discarded and standard input is `/dev/null`.
    pub attach: Option<Attach>,
}

/// How a container ended. This is also the JSON of `RunLayout::shim_exit()`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The exit code, or 128 + the signal's number.
    pub code: i32,
    pub oom_killed: bool,
    pub at: Timestamp,
    /// What went wrong in the engine's own part, if anything: "the exit status was lost".
    pub error: Option<String>,
}

/// How an exec process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecExit {
    pub id: Id,
    pub code: i32,
    pub at: Timestamp,
}

/// A running exec process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecStatus {
    pub id: Id,
    pub pid: u32,
}

/// What a reconnecting engine needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimStatus {
    pub stage: crate::Stage,
    pub shim: ProcessRef,
    pub init: Option<ProcessRef>,
    pub started_at: Option<Timestamp>,
    pub exit: Option<ExitRecord>,
    pub execs: Vec<ExecStatus>,
    /// Ends that no engine has been told of yet; they are told once.
    pub exec_exits: Vec<ExecExit>,
}

impl ToShim {
    /// The message's name, for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "Create",
            Self::Start => "Start",
            Self::Attach(_) => "Attach",
            Self::Exec(_) => "Exec",
            Self::Resize { .. } => "Resize",
            Self::Signal { .. } => "Signal",
            Self::CloseStdin { .. } => "CloseStdin",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Update { .. } => "Update",
            Self::Stats => "Stats",
            Self::Pids => "Pids",
            Self::State => "State",
            Self::Shutdown => "Shutdown",
        }
    }
}

impl FromShim {
    /// The message's name, for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::Started { .. } => "Started",
            Self::Attached { .. } => "Attached",
            Self::ExecStarted { .. } => "ExecStarted",
            Self::Stats(_) => "Stats",
            Self::Pids { .. } => "Pids",
            Self::State(_) => "State",
            Self::Done => "Done",
            Self::Failed(_) => "Failed",
            Self::Exited(_) => "Exited",
            Self::ExecExited(_) => "ExecExited",
            Self::Detached { .. } => "Detached",
            Self::OutOfMemory => "OutOfMemory",
        }
    }

    /// Whether this is an event rather than a reply.
    pub fn is_event(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::ExecExited(_) | Self::Detached { .. } | Self::OutOfMemory)
    }

    /// The error for a reply that does not fit its request.
    pub fn unexpected(self, expected: &'static str) -> ProtoError {
        match self {
            Self::Failed(failure) => ProtoError::Failed(failure),
            other => ProtoError::Unexpected { got: other.name(), expected },
        }
    }
}
