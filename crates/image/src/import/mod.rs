//! `docker import`: one archive of files becomes an image of one layer.

mod fetch;

use crate::{
    ContainerConfig, Error, ImageConfig, ImageStore, Message, Platform, Progress, Reference, Result,
    add::NewImage,
    changes,
    config::{History, RootFs},
    layers::Expected,
    task,
};
use model::{Digest, Timestamp};
use std::io::Read;
use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;

#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    pub name: Option<Reference>,
    /// Comment of the image's history; Docker's is `Imported from -`.
    pub message: String,
    /// Dockerfile instructions: `CMD ["sh"]`.
    pub changes: Vec<String>,
    pub platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub image: Digest,
    pub name: Option<Reference>,
}

impl ImageStore {
    /// Imports an archive (plain, gzip or zstd; others are refused by name) and reports its ID.
    pub async fn import(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        request: ImportRequest,
        progress: Progress,
    ) -> Result<Imported> {
        if request.name.as_ref().is_some_and(|name| name.digest().is_some()) {
            return Err(Error::TagWithDigest);
        }
        if request.platform.as_ref().is_some_and(|platform| platform.os != "linux") {
            return Err(Error::OperatingSystem);
        }
        let mut config = ContainerConfig::default();
        changes::apply(&mut config, &request.changes)?;
        let store = self.clone();
        let archive = SyncIoBridge::new(archive);
        task::blocking("import", move || {
            let imported = store.import_blocking(archive, config, request)?;
            progress.send(Message::status(imported.image.as_str()));
            Ok(imported)
        })
        .await
    }

    fn import_blocking(
        &self,
        archive: impl Read + Send,
        config: ContainerConfig,
        request: ImportRequest,
    ) -> Result<Imported> {
        let platform = request.platform.unwrap_or_else(Platform::host);
        let made =
            self.make_layer(archive, &Expected { parent: None, blob: None, diff_id: None, seen: None })?;
        let now = Timestamp::now().to_string();
        let history =
            History { created: Some(now.clone()), comment: request.message.clone(), ..History::default() };
        let image = ImageConfig {
            architecture: platform.architecture,
            variant: platform.variant,
            os: platform.os,
            created: Some(now),
            comment: request.message,
            config,
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![made.diff_id] },
            history: vec![history],
            ..ImageConfig::default()
        };
        let bytes = image.to_bytes();
        let name = request.name.map(Reference::or_latest);
        let names: Vec<_> = name.iter().cloned().collect();
        let image =
            self.add_image(&NewImage { config: &bytes, parent: None, manifest: None, names: &names })?;
        Ok(Imported { image: image.id.clone(), name })
    }
}

#[cfg(test)]
mod tests;
