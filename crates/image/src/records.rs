//! What is written to the database about images.

use crate::manifest::Descriptor;
use model::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// An image, under its ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The image that this one was committed or built from; only for images made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    /// The manifest it was pulled or loaded with, kept in the content store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Descriptor>,
    /// When a name was last given to it (`Metadata.LastTagTime`).
    #[serde(default)]
    pub last_tagged: Timestamp,
    /// Sum of the sizes of its layers.
    pub size: u64,
}

/// A name, under its normalised text: a tag, or a repository digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    pub image: Digest,
}

/// A layer that the driver has, under its chain ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    pub diff_id: Digest,
    /// Bytes of its regular files, without its parents.
    pub size: u64,
    /// Bytes of the uncompressed archive.
    pub archive_size: u64,
    /// As which blobs, of which repositories, it has been seen: what a push can name instead of sending it.
    #[serde(default)]
    pub blobs: Vec<SeenBlob>,
}

/// A layer as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBlob {
    /// `docker.io/library/busybox`; empty when it came from an archive.
    #[serde(default)]
    pub repository: String,
    pub blob: Descriptor,
}
