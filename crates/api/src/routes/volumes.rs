//! Volumes.

use super::Outcome;
use crate::{error::Error, request::Request, response, version::since};
use api_types::VolumeCreateRequest;
use engine::{Engine, filters::Filters, volumes};
use std::sync::Arc;

pub(super) fn list(engine: &Arc<Engine>, request: &Request) -> Outcome {
    response::ok(&volumes::list(engine, &request.query.filters()?)?)
}

pub(super) fn inspect(engine: &Arc<Engine>, name: &str) -> Outcome {
    response::ok(&volumes::inspect(engine, name)?)
}

pub(super) async fn create(engine: &Arc<Engine>, mut request: Request) -> Outcome {
    let body: VolumeCreateRequest = request.json().await?.unwrap_or_default();
    if body.cluster_volume_spec.is_some() && request.version >= since(42) {
        return Err(Error::NotSwarmManager);
    }
    response::created(&volumes::create(engine, body).await?)
}

pub(super) async fn remove(engine: &Arc<Engine>, request: &Request, name: &str) -> Outcome {
    volumes::remove(engine, name, request.query.flag("force")).await?;
    Ok(response::no_content())
}

pub(super) async fn prune(engine: &Arc<Engine>, request: &Request) -> Outcome {
    let mut filters = request.query.filters()?;
    // Before API 1.42 every unused volume went, not only anonymous ones.
    if request.version < since(42) {
        let pairs: Vec<_> = filters.pairs().chain([("all", "true")]).collect();
        filters = Filters::from_pairs(pairs);
    }
    response::ok(&volumes::prune(engine, &filters).await?)
}
