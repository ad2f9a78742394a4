//! What can go wrong with images. Texts that clients parse are Docker's.

use crate::{
    load::InvalidArchive, manifest::InvalidManifest, platform::InvalidPlatform, reference::InvalidReference,
};
use archive::error::errno_text;
use model::{Digest, ErrorKind};
use std::{io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with the operation and what it was done to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Reference(#[from] InvalidReference),

    #[error(transparent)]
    Platform(#[from] InvalidPlatform),

    /// `familiar` has its tag: `busybox:latest`.
    #[error("No such image: {familiar}")]
    NoSuchImage { familiar: String },

    #[error("No such image: {prefix}: the ID prefix is ambiguous, it fits {count} images: give more digits")]
    Ambiguous { prefix: String, count: usize },

    /// Docker's words, of the repository.
    #[error("An image does not exist locally with the tag: {repository}")]
    NothingToPush { repository: String },

    #[error("tag does not exist: {familiar}")]
    NoSuchTag { familiar: String },

    /// What `import` is to fetch.
    #[error("invalid source URL {source_url:?}: {reason}")]
    SourceUrl { source_url: String, reason: String },

    #[error("cannot push a digest reference")]
    PushDigest,

    /// The image is there, but not for this platform.
    #[error(
        "image with reference {familiar} was found but does not provide the specified platform ({wanted})"
    )]
    WrongPlatform { familiar: String, wanted: String },

    #[error(transparent)]
    Conflict(#[from] crate::remove::Conflict),

    /// The target of a tag has a digest.
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,

    /// `sha256` is what digests begin with.
    #[error("refusing to create an ambiguous tag using digest algorithm as name")]
    TagIsAlgorithm,

    #[error("invalid filter '{key}'")]
    UnknownFilter { key: String },

    #[error("invalid filter '{key}={value}'")]
    FilterValue { key: &'static str, value: String },

    /// What an import is said to be for.
    #[error("operating system is not supported")]
    OperatingSystem,

    /// A change that `import` and `commit` take as Dockerfile instructions.
    #[error(transparent)]
    Change(#[from] crate::changes::InvalidChange),

    #[error("{what} {digest}: {source}")]
    Manifest { what: &'static str, digest: Digest, source: InvalidManifest },

    #[error("image configuration {digest}: {source}")]
    Config { digest: Digest, source: serde_json::Error },

    /// A configuration that names other layers than the manifest has.
    #[error("image configuration {digest} has {configured} layers, its manifest {listed}")]
    LayerCount { digest: Digest, configured: usize, listed: usize },

    #[error("{what} does not have the digest it was asked for by: wanted {wanted}, got {found}")]
    DigestMismatch { what: String, wanted: Digest, found: Digest },

    #[error("layer {blob} unpacks to diff ID {found}, but the image configuration says {wanted}")]
    DiffIdMismatch { blob: Digest, wanted: Digest, found: Digest },

    /// Content that records promise and the disk has not.
    #[error("content {digest} is missing or damaged below {}: {reason}; remove the image and pull or load it again", .root.display())]
    Content { digest: Digest, root: PathBuf, reason: String },

    /// The archive of a layer cannot be had any more, byte for byte.
    #[error("layer {diff_id} cannot be written exactly as it came: {reason}; pull or load the image again")]
    Inexact { diff_id: Digest, reason: String },

    /// An archive given to `load` that is none.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),

    #[error(transparent)]
    Layer(#[from] archive::Error),

    #[error(transparent)]
    Driver(#[from] snapshot::Error),

    #[error(transparent)]
    Registry(#[from] crate::registry::Error),

    #[error(transparent)]
    Record(#[from] store::Error),

    #[error("{operation} {}: {}", .path.display(), errno_text(.source))]
    File { operation: &'static str, path: PathBuf, source: io::Error },

    /// The client's end of a stream.
    #[error("{operation}: {}", errno_text(.source))]
    Stream { operation: &'static str, source: io::Error },

    /// A thread of ours panicked or was stopped with the engine.
    #[error("{operation} was interrupted")]
    Interrupted { operation: &'static str },
}

impl Error {
    /// What a client may do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Reference(_)
            | Self::Platform(_)
            | Self::TagWithDigest
            | Self::PushDigest
            | Self::SourceUrl { .. }
            | Self::TagIsAlgorithm
            | Self::UnknownFilter { .. }
            | Self::FilterValue { .. }
            | Self::OperatingSystem
            | Self::Change(_)
            | Self::Archive(_) => ErrorKind::InvalidParameter,
            Self::NoSuchImage { .. }
            | Self::NothingToPush { .. }
            | Self::NoSuchTag { .. }
            | Self::Ambiguous { .. }
            | Self::WrongPlatform { .. } => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Layer(e) => e.kind(),
            Self::Driver(e) => e.kind(),
            Self::Registry(e) => e.kind(),
            Self::Record(e) => e.kind(),
            Self::Interrupted { .. } => ErrorKind::Cancelled,
            Self::Manifest { .. }
            | Self::Config { .. }
            | Self::LayerCount { .. }
            | Self::DigestMismatch { .. }
            | Self::DiffIdMismatch { .. }
            | Self::Content { .. }
            | Self::Inexact { .. }
            | Self::File { .. }
            | Self::Stream { .. } => ErrorKind::System,
        }
    }

    pub(crate) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
