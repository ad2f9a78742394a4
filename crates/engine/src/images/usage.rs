//! Which containers use which images.

use crate::Engine;
use image::ContainerUse;

/// What every container stands on. Short: no lock is held beyond copying.
pub(crate) fn uses(engine: &Engine) -> Vec<ContainerUse> {
    let mut uses = Vec::new();
    for container in engine.containers.all() {
        let record = container.record();
        let Some(image) = &record.image else { continue };
        uses.push(ContainerUse {
            id: record.id.clone(),
            image: image.clone(),
            top_layer: engine.images.get(image).and_then(|image| image.top_layer().cloned()),
            running: record.state.counts_as_running(),
        });
    }
    uses
}
