//! The OCI image layout (image-spec, image-layout.md): `index.json` and `blobs/`.

use super::{InvalidArchive, Layer, Load, Loaded, docker::check_platform};
use crate::{
    ImageConfig, Platform, Reference, Result,
    add::NewImage,
    chain::digest_of,
    manifest::{Descriptor, Document, Index, Manifest, OCI_INDEX},
};

/// The name containerd and BuildKit give an image: a whole reference.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The name the specification has: a tag, or a whole reference.
const OCI_NAME: &str = "org.opencontainers.image.ref.name";
pub(super) const NESTING_MAX: usize = 4;

pub(super) fn load(load: &Load<'_>) -> Result<Vec<Loaded>> {
    let index = index(load)?;
    let mut loaded: Vec<Loaded> = Vec::new();
    for descriptor in index.manifests.iter().filter(|d| !d.is_attestation()) {
        let names: Vec<_> = name(descriptor).into_iter().collect();
        let chosen = choose(load, descriptor, NESTING_MAX)?;
        loaded.push(image(load, chosen, &names)?);
    }
    Ok(loaded)
}

pub(super) fn index(load: &Load<'_>) -> Result<Index> {
    let bytes = load.spool.document("index.json")?;
    match parse("index.json", &bytes, OCI_INDEX)? {
        Document::Index(index) => Ok(index),
        Document::Image(_) => Err(InvalidArchive::NoManifest.into()),
    }
}

fn parse(member: &str, bytes: &[u8], media_type: &str) -> Result<Document> {
    let invalid = |source| InvalidArchive::Manifest { member: member.to_owned(), source };
    Ok(Document::parse(bytes, media_type).map_err(invalid)?)
}

/// A bare tag says nothing about the repository, so such an image stays unnamed.
pub(super) fn name(descriptor: &Descriptor) -> Option<Reference> {
    let annotation = |key: &str| descriptor.annotations.get(key).filter(|text| !text.is_empty());
    let text =
        annotation(CONTAINERD_NAME).or_else(|| annotation(OCI_NAME).filter(|t| t.contains(['/', ':'])))?;
    Reference::parse(text).ok().map(|reference| reference.trim_digest().or_latest())
}

pub(super) fn path(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hex())
}

/// A small blob, verified.
pub(super) fn document(load: &Load<'_>, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let member = path(descriptor);
    let bytes = load.spool.document(&member)?;
    let found = digest_of(&bytes);
    if found != descriptor.digest {
        return Err(InvalidArchive::Digest { member, found }.into());
    }
    Ok(bytes)
}

/// A manifest with its bytes and what leads to it.
pub(super) type Chosen = (Descriptor, Vec<u8>, Manifest);

/// The manifest for the wanted platform below a descriptor.
pub(super) fn choose(load: &Load<'_>, descriptor: &Descriptor, depth: usize) -> Result<Chosen> {
    let bytes = document(load, descriptor)?;
    match parse(&path(descriptor), &bytes, &descriptor.media_type)? {
        Document::Image(manifest) => Ok((descriptor.clone(), bytes, manifest)),
        Document::Index(_) if depth == 0 => Err(InvalidArchive::Nested { limit: NESTING_MAX }.into()),
        Document::Index(index) => {
            let wanted = load.options.platform.clone().unwrap_or_else(Platform::host);
            let present = Index { manifests: present(load, index.manifests), ..index };
            let none = || InvalidArchive::NoPlatform { platform: wanted.to_string() };
            choose(load, present.select(&wanted).ok_or_else(none)?, depth - 1)
        }
    }
}

/// Archives may leave out the platforms nobody asked for.
fn present(load: &Load<'_>, manifests: Vec<Descriptor>) -> Vec<Descriptor> {
    manifests.into_iter().filter(|d| load.spool.contains(&path(d))).collect()
}

pub(super) fn image(load: &Load<'_>, chosen: Chosen, names: &[Reference]) -> Result<Loaded> {
    let (descriptor, bytes, manifest) = chosen;
    let config = document(load, &manifest.config)?;
    let parsed = ImageConfig::parse(&config)
        .map_err(|source| InvalidArchive::Json { member: path(&manifest.config), source })?;
    check_platform(load, &parsed)?;
    let diff_ids = &parsed.rootfs.diff_ids;
    if manifest.layers.len() != diff_ids.len() {
        return Err(
            InvalidArchive::LayerCount { expected: manifest.layers.len(), got: diff_ids.len() }.into()
        );
    }
    let layer = |blob: &Descriptor| {
        load.spool.member(&path(blob)).map(|member| Layer { member, blob: Some(blob.clone()) })
    };
    let layers = manifest.layers.iter().map(layer).collect::<Result<Vec<_>>>()?;
    let _pin = load.layers(diff_ids, layers)?;
    let _pin_content = load.store.pin(vec![manifest.config.digest.clone(), descriptor.digest.clone()]);
    let descriptor = Descriptor::new(&descriptor.media_type, descriptor.digest, bytes.len() as u64);
    load.image(&NewImage { config: &config, parent: None, manifest: Some((descriptor, &bytes)), names })
}
