//! `docker load`: archives of images, as `docker save` (any release), podman, skopeo and BuildKit write them.
//!
//! An archive may hold its index before or after what it names, so its members are first [spooled](spool) to temporary
//! files under numbers of our own (no path of the archive ever becomes a path here), and then read in the order that
//! one of three layouts gives: [`docker`] (`manifest.json`), [`oci`] (`index.json`), or [`legacy`] (`repositories`). Images
//! that users of a machine [share](store) are loaded in the same way, from a directory.
//!
//! Once the archive is here, the layers of an image are unpacked as a pull unpacks them ([`crate::stack`]): several at a
//! time, committed in order. Nothing is unpacked earlier: whether a member is a layer, and on top of what, is known only
//! from documents that most writers put last.

mod docker;
mod error;
mod legacy;
mod oci;
#[cfg(test)]
mod parallel;
mod spool;
mod store;
#[cfg(test)]
mod tests;

pub use error::InvalidArchive;
pub(crate) use store::shared_blobs;

use crate::{
    Error, Image, ImageStore, Message, Platform, Progress, Reference, Result,
    add::NewImage,
    chain::chain_ids,
    layers::{Expected, Made},
    manifest::Descriptor,
    records::SeenBlob,
    stack::{self, BlobFile, Source},
    task,
};
use model::Digest;
use spool::Spool;
use std::{io::Read, sync::Arc};
use tokio::{io::AsyncRead, runtime::Handle};
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

    /// As [`ImageStore::load`], from a reader that blocks; on a thread that may block, and that a runtime knows.
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
    member: BlobFile,
    /// What the archive says the blob's digest is, if it says.
    blob: Option<Descriptor>,
}

impl Load<'_> {
    /// Makes sure that all layers are there. Returns the pin that keeps them until the image is recorded. When one cannot
    /// be made, those made for it go again.
    fn layers(&self, diff_ids: &[Digest], layers: Vec<Layer>) -> Result<crate::Pin> {
        let chains = chain_ids(diff_ids);
        let pin = self.store.pin(chains.clone());
        let job = stack::Job::new(self.store, "load", &self.bars());
        let plans = stack::plan(layers, diff_ids, &chains, |layer| {
            let seen = layer.blob.as_ref().map(|blob| SeenBlob::new("", blob));
            (Source::File(layer.member), layer.blob, seen)
        });
        match Handle::current().block_on(stack::have_all(&job, plans)) {
            Ok(()) => Ok(pin),
            Err(e) => {
                drop(pin);
                // Nothing but an image or a pin can have come to need them meanwhile: no container need be asked for.
                self.store.remove_layers(job.made().iter().rev(), &Vec::new)?;
                Err(e)
            }
        }
    }

    fn bars(&self) -> Progress {
        if self.options.quiet { Progress::none() } else { self.progress.clone() }
    }

    /// Makes one layer of which nothing is known but what it stands on.
    fn unknown_layer(&self, parent: Option<&Digest>, member: &BlobFile) -> Result<Made> {
        let expected = Expected { parent, blob: None, diff_id: None, seen: None };
        let (progress, total) = (self.bars(), member.size);
        let report = move |done| progress.send(Message::step("layer", "Loading layer", done, total));
        self.store.make_layer(stack::Counted::new(member.open()?, report), &expected)
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

/// A JSON document of the archive.
fn json<T: serde::de::DeserializeOwned>(spool: &Spool, name: &str) -> Result<T> {
    let bytes = spool.document(name)?;
    serde_json::from_slice(&bytes)
        .map_err(|source| Error::from(InvalidArchive::Json { member: name.to_owned(), source }))
}
