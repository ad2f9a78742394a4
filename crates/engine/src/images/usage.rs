//! Which containers use which images.

use crate::{Engine, Error, container::Record};
use image::{ContainerUse, Pruned, TopLayer};
use model::Digest;
use std::sync::atomic::Ordering;

/// What every container stands on, or has mounted. Short: no lock is held beyond copying.
pub(crate) fn uses(engine: &Engine) -> Vec<ContainerUse> {
    let records = engine.containers.all().into_iter().map(|container| container.record());
    records.flat_map(|record| of_record(engine, &record).collect::<Vec<_>>()).collect()
}

fn of_record<'a>(engine: &Engine, record: &'a Record) -> impl Iterator<Item = ContainerUse> + use<'a> {
    let mounted = record.mounts.iter().filter_map(|mount| mount.image.as_ref());
    let mounted = mounted.map(|image| of_image(record, &image.id, image.layer.clone().into()));
    own(engine, record).into_iter().chain(mounted)
}

/// What containers were made of, which is what clients count.
pub(crate) fn made_of(engine: &Engine) -> Vec<ContainerUse> {
    engine.containers.all().iter().filter_map(|container| own(engine, &container.record())).collect()
}

/// The topmost layers of a container's images that were removed by force, and that nothing else may need when the
/// container goes.
pub(crate) fn left_behind(engine: &Engine, record: &Record) -> Vec<Digest> {
    let of_gone = |used: ContainerUse| {
        used.top_layer.layer().filter(|_| engine.images.get(&used.image).is_none()).cloned()
    };
    of_record(engine, record).filter_map(of_gone).collect()
}

/// Removes them. The container is forgotten already. Blocks.
pub(crate) fn release(engine: &Engine, layers: &[Digest]) {
    for layer in layers {
        if let Err(error) = engine.images.release_layers(layer, &|| uses(engine)) {
            // The next collection, after a start or by `image prune`, tries again.
            tracing::error!(%layer, %error, "remove a layer that nothing needs any more");
        }
    }
}

/// Removes layers that no image, no container and nothing in progress needs. Left for another time when it is not certain
/// what a container stands on. Blocks.
pub(crate) fn collect_garbage(engine: &Engine) -> Result<Pruned, Error> {
    if engine.unread_records.load(Ordering::Acquire) {
        tracing::warn!(
            "unused layers stay: a container's record could not be read, and what it needs is not known"
        );
        return Ok(Pruned::default());
    }
    if let Some(unknown) = uses(engine).iter().find(|used| used.top_layer == TopLayer::Unknown) {
        tracing::warn!(container = %unknown.id, "unused layers stay: it is not known what it stands on");
        return Ok(Pruned::default());
    }
    Ok(engine.images.collect_garbage(&|| uses(engine))?)
}

/// The image may have been removed by force; the driver knows the layer all the same.
fn own(engine: &Engine, record: &Record) -> Option<ContainerUse> {
    let id = record.image.as_ref()?;
    let layer = match engine.images.get(id) {
        Some(image) => image.top_layer().cloned().into(),
        None => engine.snapshots.container_layer(&record.id).map_or(TopLayer::Unknown, TopLayer::from),
    };
    Some(of_image(record, id, layer))
}

fn of_image(record: &Record, image: &Digest, top_layer: TopLayer) -> ContainerUse {
    let running = record.state.counts_as_running();
    ContainerUse { id: record.id.clone(), image: image.clone(), top_layer, running }
}
