//! What can go wrong, in Docker's words where clients read them.

use crate::{name::InvalidName, options::InvalidOption};
use model::{ErrorKind, Id};
use std::{io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("get {name}: no such volume")]
    NotFound { name: String },
    #[error("remove {name}: volume is in use - [{}]", .holders.iter().map(Id::as_str).collect::<Vec<_>>().join(", "))]
    InUse { name: String, holders: Vec<Id> },
    #[error("create {name}: {reason}")]
    Create { name: String, reason: InvalidVolume },
    #[error("create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found")]
    UnknownDriver { name: String, driver: String },
    #[error("failed to mount local volume: mount {device}:{path}{data}: {source}", path = path.display(), data = comma(.data))]
    Mount { name: String, device: String, path: PathBuf, data: String, source: MountFailure },
    #[error("unmount volume {name} from {path}: {source}", path = path.display())]
    Unmount { name: String, path: PathBuf, source: io::Error },
    #[error("{operation} {path}: {source}", path = path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why a volume cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidVolume {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Option(#[from] InvalidOption),
}

/// Why the file system of a volume cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountFailure {
    /// The kernel lets a user namespace mount only file systems marked `FS_USERNS_MOUNT` (user_namespaces(7)).
    #[error(
        "operation not permitted (file systems of type {fs_type} cannot be mounted without root: mount it on the host and use a bind mount of its path)"
    )]
    NeedsRoot { fs_type: String },
    #[error("{0}")]
    Kernel(io::Error),
}

fn comma(data: &str) -> String {
    if data.is_empty() { String::new() } else { format!(", data: {data}") }
}

impl Error {
    pub(crate) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }

    /// The class the API maps to a status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::UnknownDriver { .. } => ErrorKind::NotFound,
            Self::InUse { .. } => ErrorKind::Conflict,
            Self::Create { .. } => ErrorKind::InvalidParameter,
            Self::Store(e) => e.kind(),
            Self::Mount { .. } | Self::Unmount { .. } | Self::File { .. } => ErrorKind::System,
        }
    }
}
