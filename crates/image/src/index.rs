//! Images of several platforms under one name: the index that a pulled image was chosen from.
//!
//! An image record is one image of one platform, and remembers its index. So the index is the glue: its manifests are
//! here when images with these manifests are, however they came. A name stands for the image that was pulled by it last;
//! who asks for another platform gets the image beside it (`docs/decisions/0019`).

use crate::{
    Error, Image, ImageStore, Pin, Platform, Result,
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

    /// What a user calls an image, for a platform: the image itself, or one of that platform from the same index.
    ///
    /// # Errors
    /// Those of [`ImageStore::resolve`]; [`Error::WrongPlatform`] when it is not here for the platform.
    pub fn resolve_for(&self, text: &str, platform: Option<&Platform>) -> Result<Arc<Image>> {
        self.fitting(self.resolve(text)?, text, platform)
    }

    /// As [`ImageStore::resolve_for`], pinned as by [`ImageStore::resolve_pinned`].
    pub fn resolve_for_pinned(&self, text: &str, platform: Option<&Platform>) -> Result<(Arc<Image>, Pin)> {
        let image = self.resolve_for(text, platform)?;
        let mut catalog = self.catalog();
        if !catalog.images.contains_key(&image.id) {
            return Err(Error::NoSuchImage { familiar: text.to_owned() });
        }
        let keys = image.parts();
        catalog.pin(&keys);
        drop(catalog);
        Ok((image, self.pinned(keys)))
    }

    /// `image`, which was called `text`, or its sibling for the platform.
    pub(crate) fn fitting(
        &self,
        image: Arc<Image>,
        text: &str,
        platform: Option<&Platform>,
    ) -> Result<Arc<Image>> {
        let Some(wanted) = platform.filter(|wanted| !image.platform().satisfies(wanted)) else {
            return Ok(image);
        };
        let siblings = self.members(&image)?.into_iter().filter_map(|member| member.image);
        let ranked = siblings.filter_map(|image| Some((image.platform().match_rank(wanted)?, image)));
        let absent = || Error::WrongPlatform { familiar: text.to_owned(), wanted: wanted.to_string() };
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, image)| image).ok_or_else(absent)
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

#[cfg(test)]
mod tests;
