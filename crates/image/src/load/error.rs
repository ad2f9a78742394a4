//! What can be wrong with an archive of images.

use crate::{manifest::InvalidManifest, reference::InvalidReference};
use model::Digest;

/// Why an archive cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum InvalidArchive {
    #[error("invalid archive: does not contain a manifest.json, an index.json or a repositories file")]
    NoManifest,
    #[error("invalid archive: {member} is missing")]
    Missing { member: String },
    #[error("invalid archive: {member} is no regular file")]
    NotAFile { member: String },
    #[error("invalid archive: the link {member} leads to itself or out of the archive")]
    Link { member: String },
    #[error("{path} may be written by everybody, so its names say nothing; chmod o-w it", path = .path.display())]
    WritableByAll { path: std::path::PathBuf },
    #[error("invalid archive: {member} is larger than {limit} bytes")]
    TooLarge { member: String, limit: u64 },
    #[error("invalid archive: {member}: {source}")]
    Json { member: String, source: serde_json::Error },
    #[error("invalid archive: {member}: {source}")]
    Manifest { member: String, source: InvalidManifest },
    #[error("invalid archive: {member} has digest {found}")]
    Digest { member: String, found: Digest },
    /// Docker's words.
    #[error("invalid manifest, layers length mismatch: expected {expected}, got {got}")]
    LayerCount { expected: usize, got: usize },
    /// Docker's words.
    #[error("invalid tag {tag:?}: {source}")]
    Tag { tag: String, source: InvalidReference },
    #[error("invalid tag {tag:?}: it has a digest")]
    TagWithDigest { tag: String },
    #[error("no image of the archive is for platform {platform}")]
    NoPlatform { platform: String },
    #[error("invalid archive: indexes are nested more than {limit} deep")]
    Nested { limit: usize },
    #[error("invalid archive: the parents of {id} form a circle or are more than {limit}")]
    Parents { id: String, limit: usize },
    #[error("cannot load {os} image on linux")]
    OperatingSystem { os: String },
}
