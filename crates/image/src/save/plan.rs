//! Everything of the archive but its layers, worked out before the first byte.

use super::Chosen;
use crate::{
    ImageStore, Result,
    chain::digest_of,
    exact::Layer,
    manifest::{Descriptor, Index, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST},
};
use model::Digest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What to write, in order.
pub(super) struct Plan {
    pub blobs: Vec<Blob>,
    /// Files at the top, by name.
    pub documents: Vec<(&'static str, Vec<u8>)>,
}

pub(super) enum Blob {
    Bytes(Digest, Vec<u8>),
    Layer(Layer),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Digest>,
    layer_sources: BTreeMap<Digest, Descriptor>,
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

pub(super) fn make(store: &ImageStore, chosen: Vec<Chosen>) -> Result<Plan> {
    let mut seen = BTreeSet::new();
    let mut blobs = Vec::new();
    let mut entries = Vec::new();
    let mut descriptors = Vec::new();
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let saved: BTreeSet<_> = chosen.iter().map(|c| c.image.id.clone()).collect();
    for Chosen { image, names } in &chosen {
        let layers = store.exact_layers(image)?;
        let sources: Vec<_> =
            layers.iter().map(|l| Descriptor::new(OCI_LAYER, l.diff_id.clone(), l.size)).collect();
        let config = store.config_bytes(&image.id)?;
        let manifest = manifest(&image.id, config.len() as u64, &sources);
        let digest = digest_of(&manifest);
        for name in names {
            let top = image.config.rootfs.diff_ids.last().map_or(image.id.hex(), Digest::hex);
            let tags = repositories.entry(name.familiar_name()).or_default();
            tags.insert(name.tag().unwrap_or_default().to_owned(), top.to_owned());
        }
        descriptors.extend(descriptors_of(&digest, manifest.len() as u64, image, names));
        entries.push(DockerEntry {
            config: path(&image.id),
            repo_tags: (!names.is_empty()).then(|| names.iter().map(|n| n.familiar()).collect()),
            layers: sources.iter().map(|s| path(&s.digest)).collect(),
            parent: image.record.parent.clone().filter(|p| saved.contains(p)),
            layer_sources: sources.into_iter().map(|s| (s.digest.clone(), s)).collect(),
        });
        let own = layers.into_iter().map(Blob::Layer);
        let own = own.chain([Blob::Bytes(image.id.clone(), config), Blob::Bytes(digest, manifest)]);
        blobs.extend(own.filter(|blob| seen.insert(blob.digest().clone())));
    }
    let index = Index {
        schema_version: 2,
        media_type: OCI_INDEX.to_owned(),
        manifests: descriptors,
        annotations: BTreeMap::new(),
    };
    let mut documents = vec![
        ("index.json", json(&index)),
        ("manifest.json", json(&entries)),
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
    ];
    if !repositories.is_empty() {
        documents.push(("repositories", json(&repositories)));
    }
    Ok(Plan { blobs, documents })
}

impl Blob {
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Bytes(digest, _) => digest,
            Self::Layer(layer) => &layer.diff_id,
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Maps have text keys and nothing else can fail.
    serde_json::to_vec(value).expect("plain data serialises")
}

fn manifest(config: &Digest, config_size: u64, layers: &[Descriptor]) -> Vec<u8> {
    json(&Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: Descriptor::new(OCI_CONFIG, config.clone(), config_size),
        layers: layers.to_vec(),
        annotations: BTreeMap::new(),
    })
}

/// One entry of the index for each name, or one without.
fn descriptors_of(
    digest: &Digest,
    size: u64,
    image: &crate::Image,
    names: &[crate::Reference],
) -> Vec<Descriptor> {
    let plain = || Descriptor {
        platform: Some(image.config.platform()),
        ..Descriptor::new(OCI_MANIFEST, digest.clone(), size)
    };
    if names.is_empty() {
        return vec![plain()];
    }
    let named = |name: &crate::Reference| {
        let mut descriptor = plain();
        let annotations = [
            ("io.containerd.image.name", name.to_string()),
            ("org.opencontainers.image.ref.name", name.tag().unwrap_or_default().to_owned()),
        ];
        descriptor.annotations.extend(annotations.map(|(key, value)| (key.to_owned(), value)));
        descriptor
    };
    names.iter().map(named).collect()
}
