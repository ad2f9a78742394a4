//! `docker system df`

use crate::{Engine, Error, blocking, images, volumes};
use api_types::DiskUsage;
use std::sync::Arc;

/// Which parts were asked for; computing one may walk many files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsageParts {
    pub containers: bool,
    pub images: bool,
    pub volumes: bool,
    pub build_cache: bool,
}

impl DiskUsageParts {
    pub const ALL: Self = Self { containers: true, images: true, volumes: true, build_cache: true };
    pub const NONE: Self = Self { containers: false, images: false, volumes: false, build_cache: false };
}

pub async fn disk_usage(engine: &Arc<Engine>, parts: DiskUsageParts) -> Result<DiskUsage, Error> {
    let containers = match parts.containers {
        true => Some(
            crate::list::list(engine, &crate::list::Options { all: true, size: true, ..Default::default() })
                .await?,
        ),
        false => None,
    };
    let engine = engine.clone();
    let (images, layers_size, volumes) = blocking("measure disk usage", move || {
        let options = images::ListOptions { shared_size: true, ..Default::default() };
        let images = parts.images.then(|| images::list(&engine, &options)).transpose()?;
        let layers_size = if parts.images { engine.images.layers_size() } else { 0 };
        let volumes = parts.volumes.then(|| volumes::with_usage(&engine)).transpose()?;
        Ok::<_, Error>((images, layers_size, volumes))
    })
    .await??;
    Ok(DiskUsage {
        layers_size: i64::try_from(layers_size).unwrap_or(i64::MAX),
        images,
        containers,
        volumes,
        // There is no builder, and so no cache.
        build_cache: parts.build_cache.then(Vec::new),
        builder_size: 0,
    })
}
