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
    #[error("logger: logging mode not supported: {0}")]
    UnknownMode(String),
    #[error("logger: max-buffer-size option is only supported with 'mode=non-blocking'")]
    BufferOfBlocking,
    #[error(
        "invalid value for log opt 'tag': {template:?}: {part:?} is none of .ID .FullID .Name .ImageName .ImageID .ImageFullID .DaemonName"
    )]
    Tag { template: String, part: String },
    #[error("syslog-address should be in form proto://address, got {0}")]
    SyslogAddress(String),
    #[error("configured logging driver does not support reading")]
    NotReadable,
    #[error("cannot {operation} log file {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    /// moby's text where there is no journal.
    #[error("journald is not enabled on this host: {}: {source}", path.display())]
    NoJournal { path: PathBuf, source: io::Error },
    #[error("cannot {operation} the journal at {}: {source}", path.display())]
    Journal { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {operation} syslog server {server}: {source}")]
    Syslog { operation: &'static str, server: String, source: io::Error },
    #[error("syslog over TLS: {what}: {reason}")]
    Tls { what: String, reason: String },
    #[error(
        "syslog over TLS: this host has no trusted certificates (package ca-certificates): give log opt \
         'syslog-tls-ca-cert' a file with the server's authority"
    )]
    NoAuthorities,
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownDriver(_)
            | Self::UnknownOption { .. }
            | Self::InvalidOption { .. }
            | Self::UnknownMode(_)
            | Self::BufferOfBlocking
            | Self::Tag { .. }
            | Self::SyslogAddress(_) => ErrorKind::InvalidParameter,
            Self::NotReadable => ErrorKind::NotImplemented,
            Self::Io { .. }
            | Self::NoJournal { .. }
            | Self::Journal { .. }
            | Self::Syslog { .. }
            | Self::Tls { .. }
            | Self::NoAuthorities => ErrorKind::System,
        }
    }
}
