//! Why an uplink ends.

use crate::{args, dhcp, framing, vpnkit};
use std::{io, path::PathBuf, time::Duration};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Arguments(#[from] args::Error),
    #[error("{operation} {object}: {source}")]
    Io { operation: &'static str, object: String, source: io::Error },
    #[error("{0}")]
    System(#[from] sys::Error),
    #[error("{program} ended: {how}", program = program.display())]
    ProgramEnded { program: PathBuf, how: String },
    #[error("{socket} took no connection within {patience:?}: {source}", socket = socket.display())]
    NoSocket { socket: PathBuf, patience: Duration, source: io::Error },
    #[error("{peer}: {source}")]
    Handshake { peer: PathBuf, source: vpnkit::Error },
    #[error("{peer} sent what is no frame: {source}")]
    Frame { peer: PathBuf, source: framing::Error },
    #[error("{peer} closed the connection")]
    Closed { peer: PathBuf },
    #[error("DHCP on {interface}: {source}")]
    Lease { interface: String, source: dhcp::Error },
    #[error("the engine went away before the interface was up")]
    NoEngine,
}

impl Error {
    pub(crate) fn io(operation: &'static str, object: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let object = object.into();
        move |source| Self::Io { operation, object, source }
    }
}
