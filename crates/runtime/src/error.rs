//! What can go wrong between a specification and a running process.

use model::ErrorKind;
use serde::{Deserialize, Serialize};
use std::{fmt, io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate, with the operation, what it was done to, and the cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The new process itself reported why it cannot become the container (or the exec).
    #[error("{0}")]
    Process(Failure),
    /// The new process went away without a word: killed, or out of memory.
    #[error("the new process ended before it was ready{}", detail(.status))]
    Vanished { status: Option<i32> },
    #[error("invalid specification: {field}: {reason}")]
    Spec { field: &'static str, reason: String },
    /// Asked for, understood, and impossible without real root or on this kernel.
    #[error("{what} is not supported: {reason}")]
    Unsupported { what: &'static str, reason: String },
    #[error("{step}: {source}")]
    Step { step: &'static str, source: io::Error },
    #[error("{step} {path}: {source}", path = .path.display())]
    Path { step: &'static str, path: PathBuf, source: io::Error },
    #[error("seccomp: {step}: {reason}")]
    Seccomp { step: &'static str, reason: String },
    #[error("hook {path}: {reason}", path = .path.display())]
    Hook { path: PathBuf, reason: String },
    #[error("cgroup {path}: {file}: {source}", path = .path.display())]
    Cgroup { path: PathBuf, file: String, source: io::Error },
    /// The operation needs a control group and this container has none.
    #[error("{operation} needs a cgroup, and none is usable here (no delegated cgroup v2)")]
    NoCgroup { operation: &'static str },
    /// An external OCI runtime exited with an error; `message` is the last error it wrote.
    #[error("{program} {verb}: {message}", program = .program.display())]
    External { program: PathBuf, verb: &'static str, message: String, class: Class },
    #[error("{path}: {reason}", path = .path.display())]
    State { path: PathBuf, reason: String },
    #[error("container {id:?} {reason}")]
    Container { id: String, reason: &'static str, kind: ErrorKind },
}

fn detail(status: &Option<i32>) -> String {
    status.map(|s| format!(" (wait status {s:#x})")).unwrap_or_default()
}

impl Error {
    pub(crate) fn step(step: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Step { step, source: errno.into() }
    }

    pub(crate) fn io(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Step { step, source }
    }

    pub(crate) fn path(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Path { step, path, source }
    }

    /// What Docker's exit code depends on: 127, 126 or 128.
    pub fn class(&self) -> Class {
        match self {
            Self::Process(failure) => failure.class,
            Self::External { class, .. } => *class,
            _ => Class::Other,
        }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Process(failure) if failure.class != Class::Other => ErrorKind::InvalidParameter,
            Self::Spec { .. } => ErrorKind::InvalidParameter,
            Self::Unsupported { .. } => ErrorKind::NotImplemented,
            Self::NoCgroup { .. } => ErrorKind::Conflict,
            Self::Container { kind, .. } => *kind,
            _ => ErrorKind::System,
        }
    }
}

/// What the child tells its parent before it exits: the step that failed, in words, and what kind of failure it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step, as in "mount", "pivot_root", "exec"; for logs and tests.
    pub step: String,
    /// The whole line, in the words of runc where clients parse them.
    pub message: String,
    pub class: Class,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The part of a failure that decides Docker's exit code (docker run, "Exit status").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// No such program: exit code 127.
    NotFound,
    /// A program that cannot be executed, or a directory: exit code 126.
    NotExecutable,
    /// Anything else: exit code 128 (create) or 125 (engine).
    Other,
}
