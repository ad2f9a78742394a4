//! `docker save`

use crate::{Engine, Error};
use image::{Platform, save::SaveStream};

/// The archive of the named images, as it is being written.
pub async fn save(
    engine: &Engine,
    names: &[String],
    platform: Option<&Platform>,
) -> Result<SaveStream, Error> {
    let stream = engine.images.save(names, platform).await?;
    for name in names {
        // A name that resolved a moment ago; without one there is nothing to tell of.
        if let Ok(image) = engine.images.resolve(name) {
            super::publish(engine, "save", image.id.as_str(), image.id.as_str(), Some(&image));
        }
    }
    Ok(stream)
}
