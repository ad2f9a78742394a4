//! `docker image prune`

use crate::{Engine, Error, blocking, events::Kind, filters::Filters};
use api_types::{ImagesPruneReport, Map};
use image::ListFilter;
use std::sync::Arc;

/// Removes dangling images that no container uses; with `dangling=false` named ones too. Without further filters also the
/// layers that a pull which was cut short has left.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<ImagesPruneReport, Error> {
    filters.only(&["dangling", "label", "label!", "until"])?;
    let filter = ListFilter::parse(filters.pairs())?;
    let is_limited = ["label", "label!", "until"].iter().any(|key| filters.contains(key));
    let engine = engine.clone();
    blocking("prune images", move || {
        let mut pruned = engine.images.prune(&filter, &|| super::uses(&engine))?;
        if !is_limited {
            let leftovers = super::collect_garbage(&engine)?;
            pruned.removed.extend(leftovers.removed);
            pruned.reclaimed += leftovers.reclaimed;
        }
        let images_deleted = super::remove::report(&engine, &pruned.removed);
        let attributes = Map::from([("reclaimed".to_owned(), pruned.reclaimed.to_string())]);
        engine.events.publish(Kind::Image, "prune", "", attributes);
        Ok(ImagesPruneReport { images_deleted, space_reclaimed: pruned.reclaimed })
    })
    .await?
}
