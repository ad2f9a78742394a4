//! The records in memory, and the pins on them: one lock, held for moments, never across I/O on layers.

use crate::{Image, Reference, records::LayerRecord};
use model::Digest;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What there is. Every image's layers are present in `layers`, and every name's image in `images`.
#[derive(Default)]
pub(crate) struct Catalog {
    pub images: BTreeMap<Digest, Arc<Image>>,
    pub names: BTreeMap<Reference, Digest>,
    pub layers: HashMap<Digest, LayerRecord>,
    pins: HashMap<Digest, usize>,
    /// Counts every pin taken and released, so that a decision made without the lock can be seen to be stale.
    pub pin_changes: u64,
}

impl Catalog {
    /// Names of an image, tags before digests, each sorted.
    pub fn names_of(&self, image: &Digest) -> Vec<Reference> {
        let mut names: Vec<_> =
            self.names.iter().filter(|(_, i)| *i == image).map(|(n, _)| n.clone()).collect();
        names.sort_by_key(|name| name.digest().is_some());
        names
    }

    /// Names of every image at once.
    pub fn names_by_image(&self) -> HashMap<&Digest, Vec<&Reference>> {
        let mut by_image: HashMap<&Digest, Vec<&Reference>> = HashMap::new();
        for (name, image) in &self.names {
            by_image.entry(image).or_default().push(name);
        }
        by_image
    }

    /// The tags of a repository, and what they name.
    pub fn tags_of(&self, repository: &Reference) -> Vec<(Reference, Arc<Image>)> {
        let tags = self.names.iter().filter(|(name, _)| name.tag().is_some() && name.trim() == *repository);
        tags.filter_map(|(name, id)| Some((name.clone(), self.images.get(id)?.clone()))).collect()
    }

    /// Images that were made from this one.
    pub fn children<'a>(&'a self, image: &'a Digest) -> impl Iterator<Item = &'a Digest> {
        self.images.values().filter(move |i| i.record.parent.as_ref() == Some(image)).map(|i| &i.id)
    }

    /// IDs that begin with `prefix`, with or without the algorithm.
    pub fn by_prefix(&self, prefix: &str) -> Vec<Arc<Image>> {
        let hex = prefix.strip_prefix("sha256:").unwrap_or(prefix);
        if hex.is_empty() {
            return Vec::new();
        }
        self.images.values().filter(|i| i.id.hex().starts_with(hex)).cloned().collect()
    }

    pub fn is_pinned(&self, what: &Digest) -> bool {
        self.pins.contains_key(what)
    }

    pub fn pin(&mut self, keys: &[Digest]) {
        self.pin_changes += 1;
        for key in keys {
            *self.pins.entry(key.clone()).or_default() += 1;
        }
    }

    pub fn unpin(&mut self, keys: &[Digest]) {
        self.pin_changes += 1;
        for key in keys {
            let count = self.pins.get_mut(key).map(|count| {
                *count -= 1;
                *count
            });
            if count == Some(0) {
                self.pins.remove(key);
            }
        }
    }
}
