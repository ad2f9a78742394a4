//! `docker import`

use super::{platform, tag};
use crate::{Engine, Error};
use image::{ImportRequest, Imported, Progress};
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
    let imported = engine.images.import(archive, request(options, "-")?, progress).await?;
    publish(&engine, &imported);
    Ok(())
}

/// The same of what a web server has.
pub async fn import_from(
    engine: Arc<Engine>,
    source: String,
    options: ImportOptions,
    progress: Progress,
) -> Result<(), Error> {
    let imported = engine.images.import_from(&source, request(options, &source)?, progress).await?;
    publish(&engine, &imported);
    Ok(())
}

fn request(options: ImportOptions, source: &str) -> Result<ImportRequest, Error> {
    super::check_changes(&options.changes)?;
    Ok(ImportRequest {
        name: tag::repository(&options.repo, &options.tag)?,
        message: if options.message.is_empty() { format!("Imported from {source}") } else { options.message },
        changes: options.changes,
        platform: platform::parse(&options.platform)?,
    })
}

fn publish(engine: &Engine, imported: &Imported) {
    let id = imported.image.as_str();
    let name = imported.name.as_ref().map_or_else(|| id.to_owned(), image::Reference::familiar);
    super::publish(engine, "import", id, &name, None);
}
