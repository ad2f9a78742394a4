//! What can fail.

use model::ErrorKind;
use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("logger: no log driver named '{0}' is registered")]
    UnknownDriver(String),
    #[error("unknown log opt '{option}' for {driver} log driver")]
    UnknownOption { driver: &'static str, option: String },
    #[error("invalid value for log opt '{option}': {value:?}: {reason}")]
    InvalidOption { option: &'static str, value: String, reason: &'static str },
    #[error("configured logging driver does not support reading")]
    NotReadable,
    #[error("cannot {operation} log file {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownDriver(_) | Self::UnknownOption { .. } | Self::InvalidOption { .. } => {
                ErrorKind::InvalidParameter
            }
            Self::NotReadable => ErrorKind::NotImplemented,
            Self::Io { .. } => ErrorKind::System,
        }
    }
}
