//! What can go wrong between the engine and the holder or a shim.

use model::ErrorKind;
use shim_proto::ProtoError;
use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connect to the {peer} at {path}: {source}", path = path.display())]
    Connect { peer: &'static str, path: PathBuf, source: io::Error },
    #[error("make a socket pair for {what}: {source}")]
    SocketPair { what: &'static str, source: io::Error },
    #[error("ask the {peer} to {request}: {source}")]
    Ask { peer: &'static str, request: &'static str, source: ProtoError },
    #[error("read {path}: {source}", path = path.display())]
    StateFile { path: PathBuf, source: io::Error },
    #[error("read {path}: {source}", path = path.display())]
    StateFileText { path: PathBuf, source: serde_json::Error },
    #[error("the container has no shim")]
    NoShim,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Ask { source, .. } => source.kind(),
            Self::Connect { .. } => ErrorKind::Unavailable,
            Self::NoShim => ErrorKind::Conflict,
            Self::SocketPair { .. } | Self::StateFile { .. } | Self::StateFileText { .. } => {
                ErrorKind::System
            }
        }
    }

    /// What the peer itself reported, when the conversation as such worked.
    pub fn failure(&self) -> Option<&shim_proto::Failure> {
        match self {
            Self::Ask { source: ProtoError::Failed(failure), .. } => Some(failure),
            _ => None,
        }
    }

    /// Whether the peer is gone, rather than unwilling.
    pub fn is_disconnect(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::NoShim => true,
            Self::Ask { source, .. } => {
                matches!(source, ProtoError::Closed { .. } | ProtoError::Socket { .. })
            }
            _ => false,
        }
    }
}
