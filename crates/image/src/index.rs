//! Images of several platforms under one name: the index that a pulled image was chosen from.
//!
//! An image record is one image of one platform, and remembers its index. So the index is the glue: its manifests are
//! here when images with these manifests are, however they came.

use crate::{
    Error, Image, ImageStore, Result,
    manifest::{Descriptor, Document, Index},
    records::ImageRecord,
};
use model::Digest;
use std::sync::Arc;

/// One manifest of an image's index, or the image's own where it has none.
#[derive(Debug, Clone)]
pub struct Member {
    pub descriptor: Descriptor,
    /// The image it leads to, when that is here.
    pub image: Option<Arc<Image>>,
    /// Bytes of configuration and blobs that the manifest names; zero when it is not here.
    pub content_size: u64,
}

impl ImageStore {
    /// Remembers which index an image was chosen from, and keeps the index.
    pub(crate) fn note_index(&self, id: &Digest, descriptor: Descriptor, bytes: &[u8]) -> Result<()> {
        if self.get(id).is_some_and(|image| image.record.index.as_ref() == Some(&descriptor)) {
            return Ok(());
        }
        let digest = descriptor.digest.clone();
        let pin = self.pin(vec![digest.clone()]);
        self.inner.content.put(bytes)?;
        let records = &self.inner.records;
        let mut catalog = self.catalog();
        let Some(image) = catalog.images.get(id).cloned() else {
            drop(catalog);
            drop(pin);
            return self.remove_content(&[digest]);
        };
        let record = ImageRecord { index: Some(descriptor), ..image.record.clone() };
        records.images.put(&records.key(id), &record)?;
        catalog.images.insert(id.clone(), Arc::new(Image { record, ..Image::clone(&image) }));
        Ok(())
    }

    /// The index that an image was chosen from, verbatim and parsed.
    pub(crate) fn index_of(&self, image: &Image) -> Result<Option<(Vec<u8>, Index)>> {
        let Some(descriptor) = &image.record.index else { return Ok(None) };
        let bytes = self.inner.content.get(&descriptor.digest)?;
        let invalid = |source| Error::Manifest { what: "index", digest: descriptor.digest.clone(), source };
        match Document::parse(&bytes, &descriptor.media_type).map_err(invalid)? {
            Document::Index(index) => Ok(Some((bytes, index))),
            Document::Image(_) => Ok(None),
        }
    }

    /// What stands beside an image in its index, itself included; none for an image that was made here and not pushed.
    pub fn members(&self, image: &Image) -> Result<Vec<Member>> {
        let descriptors = match self.index_of(image)? {
            Some((_, index)) => index.manifests,
            None => image.record.manifest.clone().into_iter().collect(),
        };
        descriptors.into_iter().map(|descriptor| self.member(descriptor)).collect()
    }

    fn member(&self, descriptor: Descriptor) -> Result<Member> {
        let has = |image: &&Arc<Image>| {
            image.record.manifest.as_ref().is_some_and(|manifest| manifest.digest == descriptor.digest)
        };
        let image = self.catalog().images.values().find(has).cloned();
        let content_size = match &image {
            Some(_) => self.content_size(&descriptor)?,
            None => 0,
        };
        Ok(Member { descriptor, image, content_size })
    }

    fn content_size(&self, manifest: &Descriptor) -> Result<u64> {
        let digest = &manifest.digest;
        let bytes = self.inner.content.get(digest)?;
        let invalid = |source| Error::Manifest { what: "manifest", digest: digest.clone(), source };
        match Document::parse(&bytes, &manifest.media_type).map_err(invalid)? {
            Document::Image(m) => Ok(m.config.size + m.layers.iter().map(|layer| layer.size).sum::<u64>()),
            Document::Index(_) => Ok(0),
        }
    }
}
