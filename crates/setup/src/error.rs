//! Why setting up or taking down fails.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Refusing to install rootless Docker as the root user")]
    Root,
    #[error("{0}; see 'lichen setup --help'")]
    Usage(String),
    #[error("Unknown command: {0}. Run with --help to see the usage.")]
    UnknownCommand(String),
    #[error(
        "No command was specified. Run with --help to see the usage. Maybe you want to run `lichen setup install`?"
    )]
    NoCommand,
    /// The findings were shown.
    #[error("Missing system requirements")]
    Unsatisfied,
    #[error("cannot {operation} {}: {source}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{command}: {message}")]
    Command { command: String, message: String },
    #[error(
        "Failed to start docker.service ({0}). Run `journalctl -n 20 --no-pager --user --unit docker.service` to show the error log."
    )]
    NotStarted(Box<Error>),
    #[error(
        "the engine does not answer at {host} after its start: {message}; see journalctl --user -u docker.service"
    )]
    NoAnswer { host: String, message: String },
    #[error(transparent)]
    Context(#[from] cli::config::ConfigError),
    #[error("write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    pub(crate) fn file(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { operation, path, source }
    }
}
