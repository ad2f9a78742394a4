//! Whether an image is for the platform that a client asks for.

use super::pull;
use crate::{Engine, Error};
use image::error::Error as ImageError;

/// Refuses `create --platform` of an image that is here for another one (moby `daemon/images/image.go`).
pub fn check_platform(engine: &Engine, reference: &str, platform: &str) -> Result<(), Error> {
    let Some(wanted) = pull::platform(platform)? else { return Ok(()) };
    let image = engine.images.resolve(reference)?;
    if image.config.platform().satisfies(&wanted) {
        return Ok(());
    }
    Err(ImageError::WrongPlatform { familiar: reference.to_owned(), wanted: wanted.to_string() }.into())
}
