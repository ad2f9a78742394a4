//! Why files of a container cannot be had. Texts that clients look for are moby's.

use model::ErrorKind;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Could not find the file {path} in container {reference}")]
    NotFound { path: String, reference: String },
    #[error("extraction point is not a directory")]
    NotADirectory { path: String },
    #[error("container rootfs is marked read-only")]
    ReadOnlyRoot,
    #[error("mounted volume is marked read-only")]
    ReadOnlyMount,
    #[error("open the root of container {id}: {source}")]
    OpenRoot { id: String, source: std::io::Error },
    #[error("mount the files of container {id}: {source}")]
    Mount { id: String, source: sys::Error },
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error("read the archive: {0}")]
    Input(#[source] std::io::Error),
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::NotADirectory { .. } => ErrorKind::InvalidParameter,
            Self::ReadOnlyRoot | Self::ReadOnlyMount => ErrorKind::Forbidden,
            Self::Archive(error) => error.kind(),
            Self::OpenRoot { .. } | Self::Mount { .. } | Self::Input(_) => ErrorKind::System,
        }
    }
}
