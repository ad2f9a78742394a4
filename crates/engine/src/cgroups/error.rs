//! What can go wrong with cgroup drivers.

use model::ErrorKind;
use std::{io, path::PathBuf, time::Duration};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Docker's text.
    #[error("cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"")]
    NoSlice,
    #[error("invalid cgroup-parent {parent:?}: it leads out of what was delegated")]
    ParentOutside { parent: String },
    #[error("connect to the user's systemd at {address}: {source}")]
    Connect { address: String, source: zbus::Error },
    #[error("ask the user's systemd: {method}: {source}")]
    Call { method: &'static str, source: zbus::Error },
    #[error("the user's systemd did not start {unit}: {result}; see journalctl --user -u {unit}")]
    Job { unit: String, result: String },
    #[error("the user's systemd did not start {unit} within {time:?}")]
    Late { unit: String, time: Duration },
    #[error("{unit} of an earlier run has not ended after {time:?}")]
    Occupied { unit: String, time: Duration },
    #[error("the user's systemd has cgroup {path:?}, which is none of this hierarchy")]
    Elsewhere { path: String },
    #[error(
        "the user's systemd cannot take processes from {own}: there is no system bus to have them moved by; start the engine as a user service, or install dbus"
    )]
    CannotMove { own: String },
    #[error("{operation} {path}: {source}", path = .path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSlice | Self::ParentOutside { .. } => ErrorKind::InvalidParameter,
            _ => ErrorKind::System,
        }
    }

    pub(super) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
