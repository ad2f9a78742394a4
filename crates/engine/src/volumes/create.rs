//! `docker volume create`

use crate::{Engine, Error, blocking};
use api_types::{Volume, VolumeCreateRequest};
use std::sync::Arc;
use volume::NewVolume;

/// Makes a volume, or returns the one of that name.
pub async fn create(engine: &Arc<Engine>, request: VolumeCreateRequest) -> Result<Volume, Error> {
    let engine = engine.clone();
    blocking("create volume", move || {
        let existed = engine.volumes.get(&request.name).is_ok();
        let new = NewVolume {
            name: request.name,
            driver: request.driver,
            labels: request.labels,
            options: request.driver_opts,
        };
        let volume = engine.volumes.create(new, None)?;
        if !existed {
            super::publish(&engine, "create", &volume.name);
        }
        Ok(super::wire(&engine, volume))
    })
    .await?
}
