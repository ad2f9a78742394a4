//! `docker push`.
//!
//! # Theory of operation
//! What was pulled is pushed as it was: the same manifest, so the same digest. Its layers are not kept as blobs, so for
//! each one the cheapest way to have that very blob in the repository is taken:
//! 1. it is there already (`HEAD`);
//! 2. the registry has it in another repository where it was seen, and mounts it;
//! 3. it is written again from the layer's files: exact for a plain archive, and for one that [`crate::gzip`]
//!    compressed, here or elsewhere;
//! 4. it is copied from a registry where it was seen, streamed through;
//! 5. it is compressed anew. Then the layer has another digest and so has the manifest, and the user is told.
//!
//! An image without a manifest (built, committed, imported) gets one, of Docker's media types, which every registry
//! takes. See docs/decisions for why blobs are not kept.
//!
//! Layers go in parallel (`max-concurrent-uploads`), then the configuration, then the manifest under its tag: whoever
//! pulls meanwhile sees the old image or the new one. What was sent before a failure is garbage to the registry, and
//! found there by the next push.

mod feed;
#[cfg(test)]
mod hostile;
mod layer;
mod manifest;
mod one;
mod source;
#[cfg(test)]
mod tests;

use crate::{
    Error, Image, ImageStore, Message, Pin, Platform, Progress, Reference, RegistryAuth, Result,
    registry::Session,
};
use model::Digest;
use std::{collections::BTreeSet, sync::Arc};

/// Repositories that are named to the token server as sources of mounts.
const MOUNT_SCOPES_MAX: usize = 8;

#[derive(Debug, Clone)]
pub struct PushRequest {
    /// What to push; its tag is left out when `all_tags`.
    pub reference: Reference,
    pub all_tags: bool,
    /// Only the manifest for this one, also of an image that came in an index.
    pub platform: Option<Platform>,
    pub auth: Option<RegistryAuth>,
}

/// What was pushed, one for each tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub reference: Reference,
    /// What the registry has it by.
    pub digest: Digest,
    pub image: Digest,
}

/// A tag with its image, which stays while it is pushed.
struct Chosen {
    reference: Reference,
    image: Arc<Image>,
    _pin: Pin,
}

impl ImageStore {
    /// Pushes, reporting in Docker's words. Dropping the future stops it.
    ///
    /// # Errors
    /// [`Error::NothingToPush`], [`Error::NoSuchTag`], what the registry says, [`Error::Inexact`].
    pub async fn push(&self, request: PushRequest, progress: Progress) -> Result<Vec<Pushed>> {
        let repository = request.reference.trim();
        if !self.catalog().names.keys().any(|name| name.trim() == repository) {
            return Err(Error::NothingToPush { repository: repository.familiar_name() });
        }
        progress.send(Message::status(format!("The push refers to repository [{}]", repository.name())));
        let chosen = self.to_push(&request)?;
        let from = self.mount_sources(&repository, &chosen);
        let registries = self.inner.registries();
        let mut tries = registries.tries(&repository, request.auth.as_ref())?.without_mirrors();
        while let Some(session) = tries.next().await? {
            let session = session.writable(&registries.clients, &registries.config, from.clone())?;
            match self.push_all(&session, &chosen, &request, &progress).await {
                Ok(pushed) => return Ok(pushed),
                Err(e) => tries.failed(e)?,
            }
        }
        Err(tries.into_error())
    }

    async fn push_all(
        &self,
        session: &Session,
        chosen: &[Chosen],
        request: &PushRequest,
        progress: &Progress,
    ) -> Result<Vec<Pushed>> {
        let (auth, single) = (request.auth.as_ref(), request.platform.is_some());
        let mut pushed = Vec::new();
        for Chosen { reference, image, .. } in chosen {
            let push = one::Push { store: self, session, auth, single, progress };
            pushed.push(push.run(reference, image).await?);
        }
        Ok(pushed)
    }

    fn to_push(&self, request: &PushRequest) -> Result<Vec<Chosen>> {
        let wanted = request.reference.clone().or_latest();
        let found = self.tagged(&wanted, request.all_tags);
        if found.is_empty() {
            return Err(Error::NoSuchTag { familiar: wanted.familiar() });
        }
        let choose = |(reference, image): (Reference, Arc<Image>)| {
            let image = self.fitting(image, &reference.familiar(), request.platform.as_ref())?;
            let (image, pin) = self.resolve_for_pinned(image.id.as_str(), None)?;
            Ok(Chosen { reference, image, _pin: pin })
        };
        found.into_iter().map(choose).collect()
    }

    fn tagged(&self, wanted: &Reference, all_tags: bool) -> Vec<(Reference, Arc<Image>)> {
        let catalog = self.catalog();
        if all_tags {
            return catalog.tags_of(&wanted.trim());
        }
        let image = catalog.names.get(wanted).and_then(|id| catalog.images.get(id)).cloned();
        image.map(|image| (wanted.clone(), image)).into_iter().collect()
    }

    /// Other repositories of the same registry that have some of the layers.
    fn mount_sources(&self, repository: &Reference, chosen: &[Chosen]) -> Vec<String> {
        let catalog = self.catalog();
        let layers =
            chosen.iter().flat_map(|c| &c.image.layers).filter_map(|chain| catalog.layers.get(chain));
        let seen = layers.flat_map(|layer| &layer.blobs).filter_map(|seen| seen.path_in(repository.domain()));
        let paths: BTreeSet<_> = seen.filter(|path| path != repository.path()).collect();
        paths.into_iter().take(MOUNT_SCOPES_MAX).collect()
    }
}
