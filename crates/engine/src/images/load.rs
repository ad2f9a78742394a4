//! `docker load`

use crate::{Engine, Error};
use image::{LoadOptions, Progress};
use std::sync::Arc;
use tokio::io::AsyncRead;

/// Loads every image of an archive.
pub async fn load(
    engine: Arc<Engine>,
    archive: impl AsyncRead + Send + Unpin + 'static,
    options: LoadOptions,
    progress: Progress,
) -> Result<(), Error> {
    for loaded in engine.images.load(archive, options, progress).await? {
        let image = engine.images.get(&loaded.image);
        let id = loaded.image.as_str();
        super::publish(
            &engine,
            "load",
            id,
            loaded.names.first().map_or(id, String::as_str),
            image.as_deref(),
        );
    }
    Ok(())
}
