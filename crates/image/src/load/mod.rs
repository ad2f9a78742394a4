//! `docker load`: archives of images, as `docker save` (any release), podman, skopeo and BuildKit write them.
//!
//! An archive may hold its index before or after what it names, so its members are first [spooled](spool) to temporary
//! files under numbers of our own (no path of the archive ever becomes a path here), and then read in the order that
//! one of three layouts gives: [`docker`] (`manifest.json`), [`oci`] (`index.json`), or [`legacy`] (`repositories`). Images
//! that users of a machine [share](store) are loaded in the same way, from a directory.

mod docker;
mod error;
mod legacy;
mod oci;
mod spool;
mod store;
#[cfg(test)]
mod tests;

pub use error::InvalidArchive;

use crate::{
    Error, Image, ImageStore, Message, Platform, Progress, Reference, Result, add::NewImage,
    layers::Expected, manifest::Descriptor, records::SeenBlob, task,
};
use model::Digest;
use spool::{Member, Spool};
use std::{io::Read, sync::Arc};
use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;

#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Only this platform of an index; the host's unless given.
    pub platform: Option<Platform>,
    /// No progress bars; the `Loaded image` lines come all the same.
    pub quiet: bool,
}

/// One image of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub image: Digest,
    /// Familiar names it was given; none for an image known by ID only.
    pub names: Vec<String>,
}

impl ImageStore {
    /// Loads every image of the archive (plain, gzip or zstd) and reports `Loaded image: NAME` for each name.
    ///
    /// All or nothing for each image; what was loaded before a failure stays.
    pub async fn load(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        options: LoadOptions,
        progress: Progress,
    ) -> Result<Vec<Loaded>> {
        let store = self.clone();
        let archive = SyncIoBridge::new(archive);
        task::blocking("load", move || store.load_blocking(archive, &options, &progress)).await
    }

    /// As [`ImageStore::load`], from a reader that blocks.
    pub(crate) fn load_blocking(
        &self,
        archive: impl Read + Send,
        options: &LoadOptions,
        progress: &Progress,
    ) -> Result<Vec<Loaded>> {
        let spool = Spool::read(archive, &self.inner.tmp)?;
        let load = Load { store: self, spool: &spool, options, progress };
        let loaded = if spool.contains("manifest.json") {
            docker::load(&load)?
        } else if spool.contains("index.json") {
            oci::load(&load)?
        } else if spool.contains("repositories") {
            legacy::load(&load)?
        } else {
            return Err(InvalidArchive::NoManifest.into());
        };
        Ok(loaded)
    }
}

/// One load at work.
struct Load<'a> {
    store: &'a ImageStore,
    spool: &'a Spool,
    options: &'a LoadOptions,
    progress: &'a Progress,
}

/// A layer as an archive has it.
struct Layer {
    member: Member,
    /// What the archive says the blob's digest is, if it says.
    blob: Option<Descriptor>,
}

impl Load<'_> {
    /// Makes sure that all layers are there, lowest first. Returns the pin that keeps them until the image is recorded.
    /// When one cannot be made, those made for it go again.
    fn layers(&self, diff_ids: &[Digest], layers: &[Layer]) -> Result<crate::Pin> {
        let chains = crate::chain::chain_ids(diff_ids);
        let pin = self.store.pin(chains.clone());
        let mut made = Vec::new();
        match self.stack(diff_ids, &chains, layers, &mut made) {
            Ok(()) => Ok(pin),
            Err(e) => {
                drop(pin);
                // Nothing but an image or a pin can have come to need them meanwhile: no container need be asked for.
                self.store.remove_layers(made.iter().rev(), &[])?;
                Err(e)
            }
        }
    }

    fn stack(
        &self,
        diff_ids: &[Digest],
        chains: &[Digest],
        layers: &[Layer],
        made: &mut Vec<Digest>,
    ) -> Result<()> {
        let mut parent: Option<&Digest> = None;
        for ((diff_id, chain), layer) in diff_ids.iter().zip(chains).zip(layers) {
            let _claim = self.store.inner.claims.take_blocking(chain);
            if !self.store.has_layer(chain) {
                self.layer(parent, Some(diff_id), layer)?;
                made.push(chain.clone());
            }
            parent = Some(chain);
        }
        Ok(())
    }

    /// Makes one layer; its diff ID is checked when it is known.
    fn layer(
        &self,
        parent: Option<&Digest>,
        diff_id: Option<&Digest>,
        layer: &Layer,
    ) -> Result<crate::layers::Made> {
        let seen = layer.blob.as_ref().map(|blob| SeenBlob::new("", blob));
        let expected = Expected { parent, blob: layer.blob.as_ref().map(|b| &b.digest), diff_id, seen };
        let id = diff_id.or(expected.blob).map_or_else(|| "layer".to_owned(), |d| d.short().to_owned());
        let total = layer.member.size;
        let sink = if self.options.quiet { Progress::none() } else { self.progress.clone() };
        let report = move |done| sink.send(Message::step(&id, "Loading layer", done, total));
        self.store.make_layer(Counted::new(layer.member.open()?, report), &expected)
    }

    /// Records an image whose layers are there, and says so.
    fn image(&self, new: &NewImage<'_>) -> Result<Loaded> {
        for name in new.names {
            self.announce_takeover(name, new);
        }
        let image: Arc<Image> = self.store.add_image(new)?;
        let names: Vec<String> = new.names.iter().map(Reference::familiar).collect();
        for name in &names {
            self.progress.send(Message::line(format_args!("Loaded image: {name}")));
        }
        if names.is_empty() {
            self.progress.send(Message::line(format_args!("Loaded image ID: {}", image.id)));
        }
        Ok(Loaded { image: image.id.clone(), names })
    }

    /// A name that another image has now.
    fn announce_takeover(&self, name: &Reference, new: &NewImage<'_>) {
        let id = crate::chain::digest_of(new.config);
        let old = self.store.catalog().names.get(name).filter(|old| **old != id).cloned();
        if let Some(old) = old {
            let familiar = name.familiar();
            self.progress.send(Message::line(format_args!(
                "The image {familiar} already exists, renaming the old one with ID {old} to empty string"
            )));
        }
    }
}

/// Reports how far a reader is, a few times a second.
struct Counted<R, F> {
    from: R,
    done: u64,
    last: std::time::Instant,
    report: F,
}

impl<R, F: Fn(u64)> Counted<R, F> {
    fn new(from: R, report: F) -> Self {
        Self { from, done: 0, last: std::time::Instant::now(), report }
    }
}

impl<R: Read, F: Fn(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.done += got as u64;
        if self.last.elapsed().as_millis() >= 100 || (got == 0 && self.done > 0) {
            self.last = std::time::Instant::now();
            (self.report)(self.done);
        }
        Ok(got)
    }
}

/// A JSON document of the archive.
fn json<T: serde::de::DeserializeOwned>(spool: &Spool, name: &str) -> Result<T> {
    let bytes = spool.document(name)?;
    serde_json::from_slice(&bytes)
        .map_err(|source| Error::from(InvalidArchive::Json { member: name.to_owned(), source }))
}
