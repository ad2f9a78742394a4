//! `docker import`

use super::{pull, tag};
use crate::{Engine, Error};
use image::{ImportRequest, Progress};
use std::sync::Arc;
use tokio::io::AsyncRead;

/// `POST /images/create?fromSrc=-`, as the client sent it.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    pub repo: String,
    pub tag: String,
    /// Empty: where it came from.
    pub message: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    pub platform: String,
}

/// Makes an image of one layer from an archive; the last message is its ID.
pub async fn import(
    engine: Arc<Engine>,
    archive: impl AsyncRead + Send + Unpin + 'static,
    options: ImportOptions,
    progress: Progress,
) -> Result<(), Error> {
    let request = ImportRequest {
        name: tag::repository(&options.repo, &options.tag)?,
        message: if options.message.is_empty() { "Imported from -".to_owned() } else { options.message },
        changes: options.changes,
        platform: pull::platform(&options.platform)?,
    };
    let imported = engine.images.import(archive, request, progress).await?;
    let id = imported.image.as_str();
    let name = imported.name.as_ref().map_or_else(|| id.to_owned(), image::Reference::familiar);
    super::publish(&engine, "import", id, &name, None);
    Ok(())
}
