//! Additional image stores: directories with an OCI image layout (image-spec, image-layout.md) that several users of a
//! machine may read, and that a pull looks into before it asks a registry.
//!
//! Unpacked layers cannot be shared without privileges: their files belong to the subordinate IDs of whoever unpacked
//! them, which are nobody's in another user's namespace. So blobs are shared, and each user verifies and unpacks them.
//! See docs/decisions.

use super::{Load, LoadOptions, Spool, oci};
use crate::{
    Error, ImageStore, Message, Platform, Progress, Pulled, Reference, Result,
    manifest::{Descriptor, Index},
    stack::BlobFile,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

impl ImageStore {
    /// Loads the image from the first store that has it by this name; none when none has it whole. Blocking.
    ///
    /// A store that cannot be used is told of, and the next is asked: registries may have what it lacks.
    pub(crate) fn load_shared(
        &self,
        wanted: &Reference,
        platform: &Platform,
        progress: &Progress,
    ) -> Option<Pulled> {
        let registries = self.inner.registries();
        registries.config.stores.iter().find_map(|path| {
            let found = self.load_from(path, wanted, platform, progress);
            found.unwrap_or_else(|error| {
                tracing::warn!(store = %path.display(), %error, "an image store cannot be used");
                let text = format!("Image store {} is passed over: {error}", path.display());
                progress.send(Message::status(text));
                None
            })
        })
    }

    fn load_from(
        &self,
        path: &Path,
        wanted: &Reference,
        platform: &Platform,
        progress: &Progress,
    ) -> Result<Option<Pulled>> {
        check_writers(path)?;
        let options = LoadOptions { platform: Some(platform.clone()), quiet: false };
        let spool = Spool::layout(path);
        // Its lines speak of a load; those of a pull are told here.
        let load =
            Load { store: self, spool: &spool, options: &options, progress: &progress.without_lines() };
        let Some(descriptor) = find(oci::index(&load)?, wanted) else { return Ok(None) };
        let chosen = match oci::choose(&load, &descriptor, oci::NESTING_MAX) {
            Err(Error::Archive(super::InvalidArchive::NoPlatform { .. })) => return Ok(None),
            chosen => chosen?,
        };
        let shown = wanted.digest().map_or(wanted.tag().unwrap_or_default(), |digest| digest.as_str());
        progress.send(Message::about(shown, format!("Found in image store {}", path.display())));
        let is_chosen = chosen.0.digest != descriptor.digest;
        let index = if is_chosen { Some(oci::document(&load, &descriptor)?) } else { None };
        let before = self.catalog().names.get(wanted).cloned();
        let image = oci::image(&load, chosen, std::slice::from_ref(wanted))?.image;
        let digest = descriptor.digest.clone();
        if let Some(bytes) = index {
            self.note_index(&image, descriptor, &bytes)?;
        }
        let newer = before.as_ref() != Some(&image);
        Ok(Some(Pulled { reference: wanted.clone(), digest, image, newer }))
    }
}

/// What the stores have under the blob's name, and of its size. Whether it is the blob, its digest tells whoever reads it;
/// so who may write there does not matter.
pub(crate) fn shared_blobs(stores: &[PathBuf], blob: &Descriptor) -> Vec<BlobFile> {
    let file = |store: &PathBuf| BlobFile::at(store.join(oci::path(blob))).ok().flatten();
    stores.iter().filter_map(file).filter(|file| file.size == blob.size).collect()
}

/// By its digest, or by the name it is annotated with.
fn find(index: Index, wanted: &Reference) -> Option<Descriptor> {
    let is_wanted = |descriptor: &Descriptor| match wanted.digest() {
        Some(digest) => descriptor.digest == *digest,
        None => oci::name(descriptor).as_ref() == Some(wanted),
    };
    index.manifests.into_iter().find(|descriptor| !descriptor.is_attestation() && is_wanted(descriptor))
}

/// Digests vouch for the blobs, and only whoever may write the index for what their names mean.
fn check_writers(path: &Path) -> Result<()> {
    for path in [path.to_owned(), path.join("index.json")] {
        let mode = fs::metadata(&path).map_err(Error::file("stat", &path))?.permissions().mode();
        // A sticky directory such as /tmp lets everybody make files, and nobody replace those of others.
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return Err(super::InvalidArchive::WritableByAll { path }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
