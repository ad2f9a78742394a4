//! `docker rmi`

use super::manifests::for_platform;
use crate::{Engine, Error, blocking};
use api_types::{ImageDeleteItem, Map};
use image::{Platform, RemoveOptions, Removed};
use std::sync::Arc;

/// Removes a name, and the image when that was its last; or an image by ID. With platforms, those of an image of
/// several.
pub async fn remove(
    engine: &Arc<Engine>,
    reference: &str,
    platforms: Vec<Platform>,
    options: RemoveOptions,
) -> Result<Vec<ImageDeleteItem>, Error> {
    let (engine, reference) = (engine.clone(), reference.to_owned());
    blocking("remove image", move || {
        // All are looked for before the first goes.
        let chosen = platforms.iter().map(|platform| for_platform(&engine, &reference, Some(platform)));
        let mut targets = chosen.collect::<Result<Vec<_>, _>>()?;
        targets.dedup();
        if platforms.is_empty() {
            targets.push(reference);
        }
        let mut removed = Vec::new();
        for target in targets {
            removed.extend(engine.images.remove(&target, options, &|| super::uses(&engine))?);
        }
        Ok(report(&engine, &removed))
    })
    .await?
}

/// The answer's lines; each untagging and removal is also an event.
pub(super) fn report(engine: &Engine, removed: &[Removed]) -> Vec<ImageDeleteItem> {
    let tell = |action: &str, id: &str| {
        let attributes = Map::from([("name".to_owned(), id.to_owned())]);
        engine.events.publish(crate::events::Kind::Image, action, id, attributes);
    };
    let line = |removed: &Removed| match removed {
        Removed::Untagged { reference, image } => {
            tell("untag", &image.to_string());
            ImageDeleteItem { untagged: reference.clone(), ..ImageDeleteItem::default() }
        }
        Removed::Image(id) => {
            tell("delete", &id.to_string());
            ImageDeleteItem { deleted: id.to_string(), ..ImageDeleteItem::default() }
        }
        Removed::Layer(chain) => ImageDeleteItem { deleted: chain.to_string(), ..ImageDeleteItem::default() },
    };
    removed.iter().map(line).collect()
}
