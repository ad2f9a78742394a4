//! One reference: manifest, configuration, layers, record.

use super::Pulled;
use crate::{
    Error, Image, ImageConfig, ImageStore, Message, Platform, Progress, Reference, Result,
    add::NewImage,
    chain::chain_ids,
    manifest::{self, Descriptor, Document, Manifest},
    records::SeenBlob,
    registry::{self, Served, Session},
    stack::{self, Remote, Source},
};
use model::Digest;
use std::sync::Arc;

/// Indexes of indexes are allowed, and nobody needs more than this.
const NESTING_MAX: usize = 4;

/// The collaborators of a pull.
pub(super) struct Pull<'a> {
    pub store: &'a ImageStore,
    pub session: &'a Session,
    pub platform: &'a Platform,
    pub progress: &'a Progress,
}

impl Pull<'_> {
    /// Pulls `reference`, which has a tag or a digest.
    pub async fn run(&self, reference: &Reference) -> Result<Pulled> {
        let served = self.session.manifest(reference).await?;
        let shown = reference.digest().map(Digest::as_str).or(reference.tag()).unwrap_or_default();
        self.progress.send(Message::about(shown, format!("Pulling from {}", reference.path())));
        let digest = served.digest.clone();
        let outer = (
            Descriptor::new(&served.media_type, digest.clone(), served.bytes.len() as u64),
            served.bytes.clone(),
        );
        let (descriptor, bytes, manifest) = self.choose(reference, served).await?;
        let is_chosen = descriptor.digest != digest;
        let canonical = reference.with_digest(digest.clone());
        let mut names = vec![canonical];
        if reference.digest().is_none() {
            names.insert(0, reference.clone());
        }
        let before = self.store.catalog().names.get(&names[0]).cloned();
        let image = self.image(reference, &manifest, (descriptor, &bytes), &names).await?;
        if is_chosen {
            let (store, id) = (self.store.clone(), image.id.clone());
            crate::task::blocking("record index", move || store.note_index(&id, outer.0, &outer.1)).await?;
        }
        let newer = before.as_ref() != Some(&image.id);
        Ok(Pulled { reference: reference.clone(), digest, image: image.id.clone(), newer })
    }

    /// Follows indexes to the manifest of the wanted platform.
    async fn choose(&self, reference: &Reference, first: Served) -> Result<(Descriptor, Vec<u8>, Manifest)> {
        let mut served = first;
        for _ in 0..NESTING_MAX {
            let invalid =
                |source| Error::Manifest { what: "manifest", digest: served.digest.clone(), source };
            match Document::parse(&served.bytes, &served.media_type).map_err(invalid)? {
                Document::Image(manifest) => {
                    check_kind(reference, &manifest)?;
                    let media_type = if manifest.media_type.is_empty() {
                        &served.media_type
                    } else {
                        &manifest.media_type
                    };
                    let descriptor = Descriptor::new(media_type, served.digest, served.bytes.len() as u64);
                    return Ok((descriptor, served.bytes, manifest));
                }
                Document::Index(index) => {
                    let Some(chosen) = index.select(self.platform) else {
                        return Err(
                            registry::Error::NoPlatform { platform: self.platform.to_string() }.into()
                        );
                    };
                    served = self.session.manifest(&reference.with_digest(chosen.digest.clone())).await?;
                }
            }
        }
        Err(registry::Error::Nested { reference: reference.familiar(), limit: NESTING_MAX }.into())
    }

    async fn image(
        &self,
        reference: &Reference,
        manifest: &Manifest,
        served: (Descriptor, &[u8]),
        names: &[Reference],
    ) -> Result<Arc<Image>> {
        let id = &manifest.config.digest;
        let pin_config = self.store.pin(vec![id.clone()]);
        let config = match self.store.get(id) {
            Some(_) => self.store.config_bytes(id)?,
            None => self.session.small_blob(id).await?,
        };
        let parsed =
            ImageConfig::parse(&config).map_err(|source| Error::Config { digest: id.clone(), source })?;
        if !matches!(parsed.os.as_str(), "" | "linux") {
            return Err(registry::Error::OperatingSystem { os: parsed.os }.into());
        }
        let diff_ids = &parsed.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let (configured, listed) = (diff_ids.len(), manifest.layers.len());
            return Err(Error::LayerCount { digest: id.clone(), configured, listed });
        }
        let chains = chain_ids(diff_ids);
        let pin = self.store.pin(chains.iter().chain([&served.0.digest]).cloned().collect());
        let layers = self.with_shared(&manifest.layers).await?;
        let plans = stack::plan(layers, diff_ids, &chains, |(blob, shared)| {
            let seen = SeenBlob::new(&reference.name(), &blob);
            let remote = Remote { session: self.session.clone(), blob: blob.clone(), shared };
            (Source::Registry(Box::new(remote)), Some(blob), Some(seen))
        });
        stack::have_all(&stack::Job::new(self.store, "pull", self.progress), plans).await?;
        let store = self.store.clone();
        let names = names.to_vec();
        let served = (served.0, served.1.to_vec());
        crate::task::blocking("record image", move || {
            // The thread goes on when the pull is given up.
            let _pins = (pin_config, pin);
            let manifest = Some((served.0, served.1.as_slice()));
            store.add_image(&NewImage { config: &config, parent: None, manifest, names: &names })
        })
        .await
    }
}

impl Pull<'_> {
    /// The blobs of layers, each with the files of image stores that are called so.
    async fn with_shared(&self, blobs: &[Descriptor]) -> Result<Vec<(Descriptor, Vec<stack::BlobFile>)>> {
        let (blobs, stores) = (blobs.to_vec(), self.store.registries().stores);
        if stores.is_empty() {
            return Ok(blobs.into_iter().map(|blob| (blob, Vec::new())).collect());
        }
        let look = move || {
            let shared = |blob: Descriptor| {
                let files = crate::load::shared_blobs(&stores, &blob);
                (blob, files)
            };
            Ok(blobs.into_iter().map(shared).collect())
        };
        crate::task::blocking("look into image stores", look).await
    }
}

/// Refuses artifacts that only look like images.
fn check_kind(reference: &Reference, manifest: &Manifest) -> Result<()> {
    let media_type = &manifest.config.media_type;
    match media_type.as_str() {
        manifest::OCI_CONFIG | manifest::DOCKER_CONFIG | "" | "application/octet-stream" => Ok(()),
        _ => Err(registry::Error::NotAnImage {
            reference: reference.familiar(),
            media_type: media_type.clone(),
        }
        .into()),
    }
}
