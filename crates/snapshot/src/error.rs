//! What can go wrong with a storage driver.

use archive::error::errno_text;
use model::{Digest, ErrorKind, Id};
use std::{
    io,
    path::{Path, PathBuf},
};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with the operation and what it was done to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("layer {0} does not exist")]
    NoSuchLayer(Digest),

    #[error("layer {0} exists already")]
    LayerExists(Digest),

    /// Another layer or a container stands on it.
    #[error("layer {layer} is in use by {user}")]
    LayerInUse { layer: Digest, user: String },

    #[error("no root file system of container {0}")]
    NoSuchContainer(Id),

    #[error("the root file system of container {0} exists already")]
    ContainerExists(Id),

    /// Kernel overlays stack at most 500 layers (`OVL_MAX_STACK`).
    #[error("layer {layer} has {count} layers below it; {driver} takes at most {limit}")]
    TooManyLayers { driver: &'static str, layer: Digest, count: usize, limit: usize },

    #[error(transparent)]
    Archive(#[from] archive::Error),

    /// A system call on a file of the driver's own.
    #[error("{operation} {}: {}", .path.display(), errno_text(.source))]
    File { operation: &'static str, path: PathBuf, source: io::Error },

    /// A file of the driver's own that is not what the driver wrote.
    #[error("{}: not a layer record: {reason}", .path.display())]
    Record { path: PathBuf, reason: String },

    /// `--storage-driver` named a driver that this machine cannot run, or no driver.
    #[error("storage driver {name}: {reason}")]
    Unusable { name: String, reason: crate::select::Unusable },

    /// No driver at all works below this data root.
    #[error("no storage driver works on {}: {}", .root.display(), list(.reasons))]
    NoDriver { root: PathBuf, reasons: Vec<(&'static str, crate::select::Unusable)> },

    /// A file system on which ownership cannot be kept, such as NFS.
    #[error("data root {} is on {file_system}, where {problem}; set {{\"data-root\": …}} \
             in daemon.json to a directory on a local file system", .root.display())]
    DataRoot { root: PathBuf, file_system: String, problem: String },
}

impl Error {
    /// For `map_err`: what was done to which path.
    pub(crate) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchLayer(_) | Self::NoSuchContainer(_) => ErrorKind::NotFound,
            Self::LayerExists(_) | Self::LayerInUse { .. } | Self::ContainerExists(_) => ErrorKind::Conflict,
            Self::TooManyLayers { .. } => ErrorKind::InvalidParameter,
            Self::Archive(e) => e.kind(),
            Self::Unusable { .. } | Self::DataRoot { .. } => ErrorKind::InvalidParameter,
            Self::File { .. } | Self::Record { .. } | Self::NoDriver { .. } => ErrorKind::System,
        }
    }
}

fn list(reasons: &[(&'static str, crate::select::Unusable)]) -> String {
    reasons.iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>().join("; ")
}
