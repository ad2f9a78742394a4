//! `docker image prune`

use crate::{Engine, Error, blocking, events::Kind, filters::Filters};
use api_types::{ImagesPruneReport, Map};
use image::ListFilter;
use std::sync::Arc;

/// Removes dangling images that no container uses; with `dangling=false` named ones too.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<ImagesPruneReport, Error> {
    filters.only(&["dangling", "label", "label!", "until"])?;
    let filter = ListFilter::parse(filters.pairs())?;
    let engine = engine.clone();
    blocking("prune images", move || {
        let pruned = engine.images.prune(&filter, &|| super::uses(&engine))?;
        let images_deleted = super::remove::report(&engine, &pruned.removed);
        let attributes = Map::from([("reclaimed".to_owned(), pruned.reclaimed.to_string())]);
        engine.events.publish(Kind::Image, "prune", "", attributes);
        Ok(ImagesPruneReport { images_deleted, space_reclaimed: pruned.reclaimed })
    })
    .await?
}
