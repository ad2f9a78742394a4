//! The manifest to push: the one the image came with, or a new one.

use crate::{
    Error, Image, ImageStore, Result,
    exact::Layer,
    gzip::Encoder,
    manifest::{
        DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, Descriptor, Document, Manifest, OCI_LAYER_GZIP,
        OCI_MANIFEST,
    },
    records::SeenBlob,
};
use model::Digest;
use std::collections::BTreeMap;

/// What an image is pushed as.
pub(super) struct Plan {
    pub config: Vec<u8>,
    pub layers: Vec<LayerPlan>,
    /// The manifest it came with, verbatim.
    original: Option<(Vec<u8>, Manifest)>,
    media_type: String,
}

/// A layer, and what is known of its blobs.
#[derive(Debug, Clone)]
pub(super) struct LayerPlan {
    pub layer: Layer,
    /// The blob that the manifest names.
    pub wanted: Option<Descriptor>,
    pub seen: Vec<SeenBlob>,
    /// The media type that a new blob gets.
    pub media_type: &'static str,
}

impl LayerPlan {
    /// Who made the blob, when it can be made again.
    pub fn encoder_of(&self, blob: &Digest) -> Option<Encoder> {
        self.seen.iter().filter(|seen| seen.blob.digest == *blob).find_map(|seen| seen.encoder)
    }

    /// Blobs that do where none is wanted: gzip, which every registry and every client takes, the newest first.
    pub fn alternatives(&self) -> Vec<Descriptor> {
        let mut found: Vec<Descriptor> = Vec::new();
        for seen in self.seen.iter().rev().filter(|seen| seen.blob.media_type.ends_with("gzip")) {
            if !found.iter().any(|known| known.digest == seen.blob.digest) {
                found.push(Descriptor::new(self.media_type, seen.blob.digest.clone(), seen.blob.size));
            }
        }
        found
    }
}

/// Reads what the push of an image needs. Blocking, short.
pub(super) fn plan(store: &ImageStore, image: &Image) -> Result<Plan> {
    let config = store.config_bytes(&image.id)?;
    let original =
        image.record.manifest.as_ref().map(|descriptor| original(store, descriptor)).transpose()?;
    let media_type = match (&original, &image.record.manifest) {
        (Some((_, manifest)), _) if !manifest.media_type.is_empty() => manifest.media_type.clone(),
        (Some(_), Some(descriptor)) => descriptor.media_type.clone(),
        _ => DOCKER_MANIFEST.to_owned(),
    };
    let new_type = if media_type == OCI_MANIFEST { OCI_LAYER_GZIP } else { DOCKER_LAYER_GZIP };
    let exact = store.exact_layers(image)?;
    let catalog = store.catalog();
    let layer = |(index, layer): (usize, Layer)| LayerPlan {
        wanted: original.as_ref().and_then(|(_, manifest)| manifest.layers.get(index)).cloned(),
        seen: catalog.layers.get(&layer.chain).map(|record| record.blobs.clone()).unwrap_or_default(),
        media_type: new_type,
        layer,
    };
    let layers = exact.into_iter().enumerate().map(layer).collect();
    drop(catalog);
    Ok(Plan { config, layers, original, media_type })
}

fn original(store: &ImageStore, descriptor: &Descriptor) -> Result<(Vec<u8>, Manifest)> {
    let digest = &descriptor.digest;
    let bytes = store.inner.content.get(digest)?;
    let invalid = |source| Error::Manifest { what: "manifest", digest: digest.clone(), source };
    match Document::parse(&bytes, &descriptor.media_type).map_err(invalid)? {
        Document::Image(manifest) => Ok((bytes, manifest)),
        Document::Index(_) => Err(invalid(crate::manifest::InvalidManifest::Ambiguous)),
    }
}

impl Plan {
    /// The manifest for these layers: the original, to the byte, when they are its own.
    pub fn manifest(self, image: &Digest, layers: Vec<Descriptor>) -> (String, Vec<u8>) {
        let Self { config, original, media_type, .. } = self;
        let manifest = match original {
            Some((bytes, manifest)) if same_blobs(&manifest.layers, &layers) => return (media_type, bytes),
            Some((_, manifest)) => Manifest { layers, ..manifest },
            None => Manifest {
                schema_version: 2,
                media_type: media_type.clone(),
                config: Descriptor::new(DOCKER_CONFIG, image.clone(), config.len() as u64),
                layers,
                annotations: BTreeMap::new(),
            },
        };
        // Maps have text keys and nothing else can fail.
        (media_type, serde_json::to_vec(&manifest).expect("plain data serialises"))
    }
}

fn same_blobs(original: &[Descriptor], now: &[Descriptor]) -> bool {
    original.iter().map(|d| &d.digest).eq(now.iter().map(|d| &d.digest))
}
