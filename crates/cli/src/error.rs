//! What can go wrong in a client, its text, and its exit code.

use std::io;
use std::path::PathBuf;

use crate::args::UsageError;
use crate::template::TemplateError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused.
    #[error("Error response from daemon: {message}")]
    Api { status: u16, message: String },
    /// Nobody listens at the address.
    #[error("Cannot connect to the Docker daemon at {address}. Is the docker daemon running?{hint}")]
    NotRunning { address: String, hint: &'static str },
    #[error(
        "permission denied while trying to connect to the Docker daemon socket at {address}: {}",
        cause(source)
    )]
    SocketDenied { address: String, source: io::Error },
    #[error("error during connect: {operation}: {}", cause(source))]
    Connect { operation: String, source: io::Error },
    #[error("error during connect: {0}")]
    Ssh(String),
    #[error("error during request to {path}: {}", causes(source))]
    Request { path: String, source: hyper::Error },
    #[error("invalid answer of the engine to {path}: {source}")]
    Answer { path: String, source: serde_json::Error },
    #[error("unable to upgrade to tcp, received {0}")]
    NotUpgraded(u16),
    #[error("unable to resolve docker endpoint: {0}")]
    Endpoint(#[from] crate::connect::host::HostError),
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("failed to execute template: {0}")]
    Template(TemplateError),
    #[error("failed to parse template: {0}")]
    TemplateParse(TemplateError),
    #[error("template parsing error: {0}")]
    InspectTemplate(TemplateError),
    /// A value or combination of options that a command refuses.
    #[error("{0}")]
    Invalid(String),
    #[error("{operation} {}: {}", path.display(), cause(source))]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{operation}: {}", cause(source))]
    Io { operation: &'static str, source: io::Error },
    /// Each text was printed when it happened; only the exit code is left.
    #[error("")]
    Printed(i32),
    /// Several failures, one line each.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Many(Vec<Error>),
}

impl Error {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    pub fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }

    pub fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }

    /// The HTTP status, when the engine answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether writing failed because the reader went away (`docker ps | head -1`).
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit code, as docker's: 125 for a command line that cannot be understood, 64 for a template of inspect.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Usage(UsageError::Arity { .. }) => 1,
            Self::Usage(_) => 125,
            Self::InspectTemplate(_) => 64,
            Self::Printed(code) => *code,
            _ => 1,
        }
    }

    /// One error of several failures; none of none.
    pub fn collect(mut errors: Vec<Error>) -> Result<(), Error> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Many(errors)),
        }
    }
}

/// An error with what caused it: hyper tells only that a connection failed, its cause tells why (TLS alerts, for one).
fn causes(error: &hyper::Error) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The text of a system error in the words of Go programs: lower case, without the number.
pub fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut chars = text.chars();
    match (error.raw_os_error(), chars.next()) {
        (Some(_), Some(first)) => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
