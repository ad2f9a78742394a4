//! Failures of the conversation itself, and failures that it reports.

use model::ErrorKind;
use serde::{Deserialize, Serialize};
use std::io;

/// The conversation broke. The connection is of no further use, except after [`ProtoError::Unexpected`].
#[derive(Debug, thiserror::Error)]
pub enum ProtoError {
    #[error("{peer} closed the connection while {expected} was awaited")]
    Closed { peer: &'static str, expected: &'static str },
    #[error("{operation} on the {peer} socket")]
    Socket { operation: &'static str, peer: &'static str, source: io::Error },
    #[error("a frame of {length} bytes exceeds the limit of {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("{count} descriptors exceed the limit of {limit} a frame")]
    TooManyDescriptors { count: usize, limit: usize },
    #[error("a frame announced {announced} descriptors but {arrived} arrived")]
    MissingDescriptors { announced: usize, arrived: usize },
    #[error("malformed message: {source}")]
    Malformed { source: serde_json::Error },
    #[error("cannot write message: {source}")]
    Unwritable { source: serde_json::Error },
    #[error("unexpected message {got}: expected {expected}")]
    Unexpected { got: &'static str, expected: &'static str },
    #[error("{0}")]
    Failed(#[from] Failure),
}

impl ProtoError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Closed { .. } | Self::Socket { .. } => ErrorKind::Unavailable,
            Self::Failed(failure) => failure.class.kind(),
            Self::TooLong { .. } | Self::TooManyDescriptors { .. } => ErrorKind::InvalidParameter,
            Self::MissingDescriptors { .. }
            | Self::Malformed { .. }
            | Self::Unwritable { .. }
            | Self::Unexpected { .. } => ErrorKind::System,
        }
    }
}

/// What a holder or shim answers when it could not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {message}")]
pub struct Failure {
    /// The step that failed, in words that fit before a colon: "mount /proc", "resolve user".
    pub step: String,
    /// Why, on what, and the cause; one line.
    pub message: String,
    pub class: FailureClass,
}

impl Failure {
    pub fn new(class: FailureClass, step: impl Into<String>, message: impl ToString) -> Self {
        Self { step: step.into(), message: message.to_string(), class }
    }
}

/// What the caller may conclude from a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureClass {
    /// The container's program does not exist: Docker's exit code 127.
    NotFound,
    /// The container's program exists and cannot be executed: Docker's exit code 126.
    NotExecutable,
    /// The request asks for something impossible, such as an unknown user.
    InvalidParameter,
    /// No such exec session, kept descriptor or process.
    NoSuchObject,
    /// The container's or exec session's present state forbids the request.
    Conflict,
    /// The host cannot do it: no cgroup, a missing kernel feature.
    Unsupported,
    /// Anything else.
    Other,
}

impl FailureClass {
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::NotFound | Self::NotExecutable | Self::InvalidParameter => ErrorKind::InvalidParameter,
            Self::NoSuchObject => ErrorKind::NotFound,
            Self::Conflict => ErrorKind::Conflict,
            Self::Unsupported => ErrorKind::NotImplemented,
            Self::Other => ErrorKind::System,
        }
    }

    /// The exit code that `docker run` and `docker exec` report for it.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::NotFound => 127,
            Self::NotExecutable => 126,
            _ => 128,
        }
    }
}
