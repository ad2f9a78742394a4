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

    /// The pin is taken before anybody can remove what was found.
    fn choose(&self, images: &[String], platform: Option<&Platform>) -> Result<(Vec<Chosen>, Pin)> {
        let mut catalog = self.catalog();
        let mut chosen: Vec<Chosen> = Vec::new();
        let mut add = |image: Arc<Image>, name: Option<Reference>| {
            let known = chosen.iter_mut().find(|c| c.image.id == image.id);
            match known {
                Some(known) => known.names.extend(name.filter(|n| !known.names.contains(n))),
                None => chosen.push(Chosen { image, names: name.into_iter().collect() }),
            }
        };
        for text in images {
            let name = Reference::parse(text).ok();
            let all: Vec<_> = match &name {
                Some(name) if name.is_name_only() => catalog.tags_of(name),
                _ => Vec::new(),
            };
            if !all.is_empty() {
                for (name, image) in all {
                    check_platform(&image, &name.familiar(), platform)?;
                    add(image, Some(name));
                }
                continue;
            }
            let image = crate::images::resolve(&catalog, text)?;
            check_platform(&image, text, platform)?;
            let name = name.filter(|name| name.tag().is_some() && catalog.names.contains_key(name));
            add(image, name);
        }
        let keys: Vec<_> = chosen.iter().flat_map(|c| c.image.parts()).collect();
        catalog.pin(&keys);
        Ok((chosen, self.pinned(keys)))
    }
}

fn check_platform(image: &Image, familiar: &str, platform: Option<&Platform>) -> Result<()> {
    match platform {
        Some(wanted) if !image.config.platform().satisfies(wanted) => {
            Err(Error::WrongPlatform { familiar: familiar.to_owned(), wanted: wanted.to_string() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
