//! What can fail.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("start the event loop: {0}")]
    Runtime(io::Error),
    #[error("{step}: {source}")]
    Engine { step: String, source: cli::error::Error },
    #[error("{0} and {1} are the same engine")]
    Same(String, String),
    #[error("load image {image}: {message}")]
    Load { image: String, message: String },
    #[error("no image in {0} to make a container of, through which volume {1} could be read")]
    NoImage(String, String),
    #[error("read the archive of volume {volume}: {source}")]
    Archive { volume: String, source: io::Error },
    #[error("another volume {0} is here already, with something else in it: it is left alone")]
    Occupied(String),
    #[error(
        "volume {0} was made here by somebody else in the meantime: it is left alone; repeat, and it is compared"
    )]
    Appeared(String),
    #[error("{0}; and: {1}")]
    Both(Box<Error>, Box<Error>),
    /// Somebody writes to it there.
    #[error("volume {0} changed while it was copied: stop what uses it in the other engine, and repeat")]
    Unlike(String),
}

/// Usage errors alone are compared, in tests.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Usage(a), Self::Usage(b)) if a == b)
    }
}

/// For `map_err` on what a client returns.
pub(crate) fn step(step: impl Into<String>) -> impl FnOnce(cli::error::Error) -> Error {
    let step = step.into();
    move |source| Error::Engine { step, source }
}
