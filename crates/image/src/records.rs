//! What is written to the database about images.

use crate::{gzip::Encoder, manifest::Descriptor};
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
    /// The index that the manifest was chosen from, kept in the content store too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Descriptor>,
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
    /// Who compressed it, when that can be done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Encoder>,
}

impl SeenBlob {
    /// In a repository, or in an archive when that is empty; `encoder` is found out when the blob is read.
    pub fn new(repository: &str, blob: &Descriptor) -> Self {
        Self { repository: repository.to_owned(), blob: blob.clone(), encoder: None }
    }

    /// The repository within `domain`, if it is there: `library/busybox`.
    pub fn path_in(&self, domain: &str) -> Option<String> {
        Some(self.repository.strip_prefix(domain)?.strip_prefix('/')?.to_owned())
    }

    /// Whether it is the same blob in the same place.
    fn is_same(&self, other: &Self) -> bool {
        self.repository == other.repository && self.blob.digest == other.blob.digest
    }
}

/// So many places are remembered for one layer.
const SEEN_MAX: usize = 32;

/// What is known of `older` and `newer` together, the newest last. The encoder of a blob is the same everywhere.
pub(crate) fn merge_seen(older: &[SeenBlob], newer: &[SeenBlob]) -> Vec<SeenBlob> {
    let known = |blob: &Digest| {
        older.iter().chain(newer).filter(|seen| seen.blob.digest == *blob).find_map(|seen| seen.encoder)
    };
    let kept = older.iter().filter(|old| !newer.iter().any(|new| new.is_same(old)));
    let mut merged: Vec<SeenBlob> = kept.chain(newer).cloned().collect();
    for seen in &mut merged {
        seen.encoder = known(&seen.blob.digest);
    }
    merged.split_off(merged.len().saturating_sub(SEEN_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layers_places_are_remembered_once_and_not_without_end() {
        let blob = Descriptor::new("", crate::chain::digest_of(b"x"), 1);
        let at = |place: usize| SeenBlob::new(&format!("r{place}"), &blob);
        let made = SeenBlob { encoder: Some(Encoder::Lichen1), ..at(1) };
        let merged = merge_seen(&[made.clone(), at(2)], &[at(1)]);
        assert_eq!(merged, [SeenBlob { encoder: made.encoder, ..at(2) }, made]);
        let many = (0..100).fold(Vec::new(), |seen, place| merge_seen(&seen, &[at(place)]));
        assert_eq!((many.len(), many.last()), (SEEN_MAX, Some(&at(99))));
    }
}
