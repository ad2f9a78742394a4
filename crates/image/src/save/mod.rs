//! `docker save`: docker-archive and OCI layout in one tar, as Docker writes it since 25.
//!
//! ```text
//! blobs/sha256/HEX   configurations, uncompressed layers, one OCI manifest an image
//! index.json         those manifests, annotated with names
//! manifest.json      the same for readers of docker-archive
//! oci-layout
//! repositories       names to the topmost layer, for the oldest readers
//! ```
//! Layers are written again from their files by [`crate::framing`], and checked against their diff IDs as they are.

mod plan;
mod write;

use crate::{Error, Image, ImageStore, Pin, Platform, Reference, Result, task};
use bytes::Bytes;
use std::{io, sync::Arc};
use tokio::sync::mpsc;

/// The archive as it is being written. Dropping it stops the writer.
pub type SaveStream = mpsc::Receiver<io::Result<Bytes>>;

/// Pieces of [`write::PIECE`] in flight.
const PIECES: usize = 8;

/// An image to save with the names it goes by in the archive.
struct Chosen {
    image: Arc<Image>,
    names: Vec<Reference>,
}

impl ImageStore {
    /// Starts writing the named images. Names, and that their layers can be written, are checked first, so that a
    /// missing image is an error and not a broken stream.
    ///
    /// A name without a tag means all tags of that repository; an ID, the image without names.
    pub async fn save(&self, images: &[String], platform: Option<&Platform>) -> Result<SaveStream> {
        let (chosen, pin) = self.choose(images, platform)?;
        let store = self.clone();
        let plan = task::blocking("save", move || plan::make(&store, chosen)).await?;
        let (sender, receiver) = mpsc::channel(PIECES);
        let store = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut out = write::Pieces::new(sender);
            let written = write::archive(&store, &plan, &mut out).and_then(|()| out.end());
            if let Err(error) = written {
                out.fail(error);
            }
            drop(pin);
        });
        Ok(receiver)
    }

    fn choose(&self, images: &[String], platform: Option<&Platform>) -> Result<(Vec<Chosen>, Pin)> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for text in images {
            for (image, name) in self.meant(text)? {
                let familiar = name.as_ref().map_or_else(|| text.clone(), Reference::familiar);
                let image = self.fitting(image, &familiar, platform)?;
                match chosen.iter_mut().find(|c| c.image.id == image.id) {
                    Some(known) => known.names.extend(name.filter(|n| !known.names.contains(n))),
                    None => chosen.push(Chosen { image, names: name.into_iter().collect() }),
                }
            }
        }
        let keys: Vec<_> = chosen.iter().flat_map(|c| c.image.parts()).collect();
        let mut catalog = self.catalog();
        // From here on nobody can remove what was found.
        if let Some(gone) = chosen.iter().find(|c| !catalog.images.contains_key(&c.image.id)) {
            return Err(Error::NoSuchImage { familiar: gone.image.id.to_string() });
        }
        catalog.pin(&keys);
        Ok((chosen, self.pinned(keys)))
    }

    /// What `text` means: every tag of a repository, or one image with its tag.
    fn meant(&self, text: &str) -> Result<Vec<(Arc<Image>, Option<Reference>)>> {
        let catalog = self.catalog();
        let name = Reference::parse(text).ok();
        if let Some(repository) = name.as_ref().filter(|name| name.is_name_only()) {
            let tags = catalog.tags_of(repository);
            if !tags.is_empty() {
                return Ok(tags.into_iter().map(|(name, image)| (image, Some(name))).collect());
            }
        }
        let image = crate::images::resolve(&catalog, text)?;
        let name = name.filter(|name| name.tag().is_some() && catalog.names.contains_key(name));
        Ok(vec![(image, name)])
    }
}

#[cfg(test)]
mod tests;
