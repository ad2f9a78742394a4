//! For which platform a client wants an image.

use crate::Error;
use image::{Image, Platform, error::Error as ImageError};

/// Empty text is no wish.
///
/// # Errors
/// That it is no platform.
pub fn parse(text: &str) -> Result<Option<Platform>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(text.parse().map_err(ImageError::from)?))
}

/// What a client is told that gets an image of another platform than the host's, and did not ask for one (moby
/// `daemon/create.go`).
pub fn warning(image: &Image) -> Option<String> {
    let (image, host) = (image.platform(), Platform::host());
    (!image.satisfies(&host)).then(|| {
        format!(
            "The requested image's platform ({image}) does not match the detected host platform ({host}) and no specific platform was requested"
        )
    })
}
