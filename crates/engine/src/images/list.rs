//! `docker images`

use crate::{Engine, Error, filters::Filters};
use api_types::{Descriptor, ImageSummary};
use image::{ListFilter, list::Summary, manifest};
use model::Digest;
use std::collections::HashMap;

#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Intermediate images too.
    pub all: bool,
    pub filters: Filters,
    /// With the manifests of each.
    pub manifests: bool,
    /// Compute `SharedSize`, which is otherwise -1.
    pub shared_size: bool,
}

/// The images that fit, newest first.
pub fn list(engine: &Engine, options: &ListOptions) -> Result<Vec<ImageSummary>, Error> {
    let filter = ListFilter { all: options.all, ..ListFilter::parse(options.filters.pairs())? };
    let mut containers: HashMap<Digest, i64> = HashMap::new();
    for used in super::made_of(engine) {
        *containers.entry(used.image).or_default() += 1;
    }
    let summaries = engine.images.list(&filter)?;
    summaries
        .into_iter()
        .map(|summary| {
            let id = &summary.image.id;
            let shared = if options.shared_size { signed(engine.images.shared_size(id)) } else { -1 };
            let mut wire = wire(&summary, containers.get(id).copied().unwrap_or(0), shared);
            if options.manifests {
                wire.manifests = Some(super::manifests::manifests(engine, &summary.image)?);
            }
            Ok(wire)
        })
        .collect()
}

fn wire(summary: &Summary, containers: i64, shared_size: i64) -> ImageSummary {
    let image = &summary.image;
    ImageSummary {
        containers,
        created: image.config.created_at().unix_seconds(),
        id: image.id.to_string(),
        labels: image.config.config.labels.clone(),
        parent_id: image.record.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        descriptor: image.record.manifest.as_ref().map(descriptor),
        manifests: None,
        repo_digests: summary.repo_digests.clone(),
        repo_tags: summary.repo_tags.clone(),
        shared_size,
        size: signed(image.record.size),
        virtual_size: 0,
    }
}

pub(super) fn descriptor(descriptor: &manifest::Descriptor) -> Descriptor {
    Descriptor {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.to_string(),
        size: signed(descriptor.size),
        ..Descriptor::default()
    }
}

/// Sizes are signed on the wire.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
