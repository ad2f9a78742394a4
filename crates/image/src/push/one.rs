//! One tag: layers, configuration, manifest, and then the record that it is there.

use super::{
    Pushed,
    layer::{self, Layers},
    manifest,
};
use crate::{
    Image, ImageStore, Message, Progress, Reference, RegistryAuth, Result,
    chain::digest_of,
    manifest::{Descriptor, OCI_INDEX},
    records::{ImageRecord, NameRecord},
    registry::Session,
    task,
};
use model::Digest;
use std::sync::Arc;

/// The collaborators of a push.
pub(super) struct Push<'a> {
    pub store: &'a ImageStore,
    pub session: &'a Session,
    pub auth: Option<&'a RegistryAuth>,
    /// One platform was asked for, so the tag is to name its manifest, and no index.
    pub single: bool,
    pub progress: &'a Progress,
}

impl Push<'_> {
    /// Pushes the image under `reference`, which has a tag.
    pub async fn run(&self, reference: &Reference, image: &Arc<Image>) -> Result<Pushed> {
        let (store, planned) = (self.store.clone(), image.clone());
        let mut plan = task::blocking("push", move || manifest::plan(&store, &planned)).await?;
        let layers =
            Layers { store: self.store, session: self.session, auth: self.auth, progress: self.progress };
        let plans = std::mem::take(&mut plan.layers);
        let descriptors = layer::send_all(&layers, plans).await?;
        if !self.session.has_blob(&image.id).await? {
            self.session.put_small_blob(&image.id, &plan.config).await?;
        }
        let (media_type, bytes) = plan.manifest(&image.id, descriptors);
        let digest = digest_of(&bytes);
        let tag = reference.tag().unwrap_or(crate::reference::DEFAULT_TAG);
        let manifest = Descriptor::new(&media_type, digest, bytes.len() as u64);
        let named = self.put(tag, image, &manifest, &bytes).await?;
        let (digest, size) = (named.digest, named.size);
        let (store, name, id) = (self.store.clone(), reference.with_digest(digest.clone()), image.id.clone());
        task::blocking("record push", move || store.record_push(&id, manifest, &bytes, &name)).await?;
        self.progress.send(Message::status(format!("{tag}: digest: {digest} size: {size}")));
        let aux = serde_json::json!({"Tag": tag, "Digest": digest, "Size": size});
        self.progress.send(Message::aux(aux));
        Ok(Pushed { reference: reference.clone(), digest, image: image.id.clone() })
    }

    /// Puts what the tag is to name: the index the image came in, when the repository has all of it; else the manifest,
    /// and says so as Docker does (moby `api/types/auxprogress`).
    async fn put(&self, tag: &str, image: &Image, manifest: &Descriptor, bytes: &[u8]) -> Result<Descriptor> {
        let (media_type, digest) = (&manifest.media_type, &manifest.digest);
        let index = if self.single { None } else { self.store.index_of(image)? };
        let index = index.filter(|(_, index)| index.manifests.iter().any(|m| m.digest == *digest));
        let (Some((index_bytes, index)), Some(original)) = (index, &image.record.index) else {
            self.session.put_manifest(tag, media_type, bytes, digest).await?;
            return Ok(manifest.clone());
        };
        for other in index.manifests.iter().filter(|other| other.digest != *digest) {
            if !self.session.has_manifest(&other.digest).await? {
                self.session.put_manifest(tag, media_type, bytes, digest).await?;
                self.progress.send(Message::aux(serde_json::json!({
                    "manifestPushedInsteadOfIndex": true,
                    "originalIndex": original,
                    "selectedManifest": manifest,
                })));
                return Ok(manifest.clone());
            }
        }
        self.session.put_manifest(digest.as_str(), media_type, bytes, digest).await?;
        let index_type = if original.media_type.is_empty() { OCI_INDEX } else { &original.media_type };
        self.session.put_manifest(tag, index_type, &index_bytes, &original.digest).await?;
        Ok(original.clone())
    }
}

impl ImageStore {
    /// Records by which digest a registry has an image, and the manifest of one that had none.
    fn record_push(&self, id: &Digest, manifest: Descriptor, bytes: &[u8], name: &Reference) -> Result<()> {
        let Some(known) = self.get(id) else { return Ok(()) };
        if known.record.manifest.is_none() {
            self.inner.content.put(bytes)?;
        }
        let records = &self.inner.records;
        let mut catalog = self.catalog();
        // Looked up again: under the lock nobody changes it.
        let Some(image) = catalog.images.get(id).cloned() else { return Ok(()) };
        let kept = image.record.manifest.clone().unwrap_or(manifest);
        let record = ImageRecord { manifest: Some(kept), ..image.record.clone() };
        records.store.batch::<_, crate::Error>(|batch| {
            batch.put(&records.images, &records.key(id), &record)?;
            batch
                .put(&records.names, &records.key(name), &NameRecord { image: id.clone() })
                .map_err(Into::into)
        })?;
        catalog.images.insert(id.clone(), Arc::new(Image { record, ..Image::clone(&image) }));
        catalog.names.insert(name.clone(), id.clone());
        Ok(())
    }
}
