//! `docker image inspect`, `docker history`

use super::{
    list::{descriptor, signed},
    manifests::{for_platform, manifests},
};
use crate::{Engine, Error};
use api_types::{DriverData, HistoryItem, ImageConfig, ImageInspect, ImageMetadata, RootFs, go};
use image::{ContainerConfig, Platform};

/// `GET /images/NAME/json`, as the client sent it.
#[derive(Debug, Clone, Default)]
pub struct InspectOptions {
    /// With what stands beside it in its index.
    pub manifests: bool,
    pub platform: Option<Platform>,
}

pub fn inspect(engine: &Engine, reference: &str, options: &InspectOptions) -> Result<ImageInspect, Error> {
    let reference = for_platform(engine, reference, options.platform.as_ref())?;
    let found = engine.images.inspect(&reference)?;
    let manifests = options.manifests.then(|| manifests(engine, &found.image)).transpose()?;
    let (image, config) = (&found.image, &found.image.config);
    Ok(ImageInspect {
        id: image.id.to_string(),
        repo_tags: found.repo_tags,
        repo_digests: found.repo_digests,
        parent: image.record.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        comment: comment(config),
        created: config.created.clone().unwrap_or_default(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        config: Some(wire_config(&config.config)?),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        os_version: config.os_version.clone(),
        size: signed(image.record.size),
        graph_driver: DriverData { data: found.driver_data.into_iter().collect(), name: found.driver },
        root_fs: RootFs {
            r#type: "layers".to_owned(),
            layers: config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
        },
        metadata: ImageMetadata { last_tag_time: found.last_tagged.to_string() },
        descriptor: image.record.manifest.as_ref().map(descriptor),
        manifests,
        ..ImageInspect::default()
    })
}

/// An image without a comment shows that of its newest history line (moby `daemon/images/image_inspect.go`).
fn comment(config: &image::ImageConfig) -> String {
    if !config.comment.is_empty() {
        return config.comment.clone();
    }
    config.history.last().map(|line| line.comment.clone()).unwrap_or_default()
}

/// Both forms are Docker's own JSON, so the one is read as the other.
pub(super) fn wire_config(config: &ContainerConfig) -> Result<ImageConfig, Error> {
    let value = serde_json::to_value(config).and_then(go::from_value);
    value.map_err(|source| Error::Convert { what: "image configuration", source })
}

pub fn history(
    engine: &Engine,
    reference: &str,
    platform: Option<&Platform>,
) -> Result<Vec<HistoryItem>, Error> {
    let lines = engine.images.history(&for_platform(engine, reference, platform)?)?;
    Ok(lines
        .into_iter()
        .map(|line| HistoryItem {
            comment: line.comment,
            created: line.created.unix_seconds(),
            created_by: line.created_by,
            id: line.image.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
            size: signed(line.size),
            tags: line.tags,
        })
        .collect())
}
