//! `manifest.json`: what `docker save` has written since 1.10.

use super::{InvalidArchive, Layer, Load, Loaded, json};
use crate::{
    Error, ImageConfig, Reference, Result, add::NewImage, chain::digest_of, reference::InvalidReference,
};
use model::Digest;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    /// The ID of the parent, for images built by the classic builder.
    #[serde(default)]
    parent: Option<String>,
}

pub(super) fn load(load: &Load<'_>) -> Result<Vec<Loaded>> {
    let entries: Vec<Entry> = json(load.spool, "manifest.json")?;
    // Names are checked before anything is stored: one bad tag is not worth half an archive.
    let names = entries.iter().map(names).collect::<Result<Vec<_>>>()?;
    entries.iter().zip(names).map(|(entry, names)| image(load, entry, &names)).collect()
}

fn names(entry: &Entry) -> Result<Vec<Reference>> {
    entry.repo_tags.iter().flatten().map(|tag| parse_tag(tag)).collect()
}

pub(super) fn parse_tag(tag: &str) -> Result<Reference> {
    let invalid = |source: InvalidReference| InvalidArchive::Tag { tag: tag.to_owned(), source };
    let reference = Reference::parse(tag).map_err(invalid)?;
    if reference.digest().is_some() {
        return Err(InvalidArchive::TagWithDigest { tag: tag.to_owned() }.into());
    }
    Ok(reference.or_latest())
}

fn image(load: &Load<'_>, entry: &Entry, names: &[Reference]) -> Result<Loaded> {
    let config = load.spool.document(&entry.config)?;
    let id = digest_of(&config);
    let parsed = ImageConfig::parse(&config)
        .map_err(|source| InvalidArchive::Json { member: entry.config.clone(), source })?;
    check_platform(load, &parsed)?;
    let paths = entry.layers.as_deref().unwrap_or_default();
    let diff_ids = &parsed.rootfs.diff_ids;
    if paths.len() != diff_ids.len() {
        return Err(InvalidArchive::LayerCount { expected: paths.len(), got: diff_ids.len() }.into());
    }
    let layer = |path: &String| load.spool.member(path).map(|member| Layer { member, blob: None });
    let layers = paths.iter().map(layer).collect::<Result<Vec<_>>>()?;
    let _pin = load.layers(diff_ids, layers).map_err(|e| name_layer(e, paths, diff_ids))?;
    let _pin_config = load.store.pin(vec![id]);
    let parent =
        entry.parent.as_ref().and_then(|p| p.parse::<Digest>().ok()).filter(|p| load.store.get(p).is_some());
    load.image(&NewImage { config: &config, parent, manifest: None, names })
}

/// Says which member it was that unpacked to something else.
fn name_layer(error: Error, paths: &[String], diff_ids: &[Digest]) -> Error {
    match &error {
        Error::DiffIdMismatch { wanted, found, .. } => {
            let index = diff_ids.iter().position(|d| d == wanted).unwrap_or_default();
            InvalidArchive::Digest { member: paths[index].clone(), found: found.clone() }.into()
        }
        _ => error,
    }
}

pub(super) fn check_platform(load: &Load<'_>, config: &ImageConfig) -> Result<()> {
    if !matches!(config.os.as_str(), "" | "linux") {
        return Err(InvalidArchive::OperatingSystem { os: config.os.clone() }.into());
    }
    match &load.options.platform {
        Some(wanted) if !config.platform().satisfies(wanted) => {
            Err(InvalidArchive::NoPlatform { platform: wanted.to_string() }.into())
        }
        _ => Ok(()),
    }
}
