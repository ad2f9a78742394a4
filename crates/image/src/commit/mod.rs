//! `docker commit`: a container's changes become a layer on its image.

use crate::{
    ContainerConfig, Error, Image, ImageConfig, ImageStore, Platform, Reference, Result,
    add::NewImage,
    changes,
    config::{History, RootFs},
    layers::{Expected, Made},
    task,
};
use model::{Digest, Id, Timestamp};
use std::{io, sync::Arc};

#[derive(Debug, Clone)]
pub struct CommitRequest {
    pub container: Id,
    /// The image the container was made from; may be gone by now, `top_layer` is not.
    pub image: Option<Digest>,
    /// The layer its tree stands on.
    pub top_layer: Option<Digest>,
    /// What the new image runs: the container's configuration, already merged with what the caller asked for.
    pub config: ContainerConfig,
    /// Dockerfile instructions applied last.
    pub changes: Vec<String>,
    pub author: String,
    pub comment: String,
    /// The command line the container ran, for the history.
    pub created_by: String,
    pub name: Option<Reference>,
}

impl ImageStore {
    /// Makes the image and gives its ID. The caller has paused the container if it wants a still picture.
    pub async fn commit(&self, mut request: CommitRequest) -> Result<Digest> {
        if request.name.as_ref().is_some_and(|name| name.digest().is_some()) {
            return Err(Error::TagWithDigest);
        }
        changes::apply(&mut request.config, &request.changes)?;
        let store = self.clone();
        task::blocking("commit", move || store.commit_blocking(request)).await
    }

    fn commit_blocking(&self, request: CommitRequest) -> Result<Digest> {
        let below = request.top_layer.as_ref().map(|top| self.stack(top)).unwrap_or_default();
        let _pin_below = self.pin(below.clone());
        let base = request.image.as_ref().and_then(|id| self.get(id));
        let made = self.container_layer(&request)?;
        let config = self.committed_config(&request, base.as_deref(), &below, made.as_ref());
        let bytes = config.to_bytes();
        let names: Vec<_> = request.name.into_iter().map(Reference::or_latest).collect();
        let parent = base.map(|image: Arc<Image>| image.id.clone());
        let image = self.add_image(&NewImage { config: &bytes, parent, manifest: None, names: &names })?;
        Ok(image.id.clone())
    }

    /// The container's changes as a layer; none when it changed nothing.
    fn container_layer(&self, request: &CommitRequest) -> Result<Option<Made>> {
        let driver = &self.inner.driver;
        if driver.changes(&request.container)?.is_empty() {
            return Ok(None);
        }
        let (from, mut to) = io::pipe().map_err(|source| Error::Stream { operation: "pipe", source })?;
        let expected = Expected { parent: request.top_layer.as_ref(), blob: None, diff_id: None, seen: None };
        std::thread::scope(|scope| {
            // The pipe's end closes with the closure, and the reader sees the end of the archive.
            let writer = scope.spawn(move || driver.diff(&request.container, &mut to));
            let made = self.make_layer(from, &expected);
            let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (made, written) {
                (Err(made), Err(written)) if is_broken_pipe(&written) => Err(made),
                // An archive cut short: why it was says more than what came of it.
                (_, Err(written)) => Err(written.into()),
                (made, Ok(())) => made.map(Some),
            }
        })
    }

    fn committed_config(
        &self,
        request: &CommitRequest,
        base: Option<&Image>,
        below: &[Digest],
        made: Option<&Made>,
    ) -> ImageConfig {
        let now = Timestamp::now().to_string();
        let mut config = base.map_or_else(|| self.stand_in(below), |image| image.config.clone());
        let history = History {
            created: Some(now.clone()),
            created_by: request.created_by.clone(),
            author: request.author.clone(),
            comment: request.comment.clone(),
            empty_layer: made.is_none(),
            ..History::default()
        };
        config.history.push(history);
        config.rootfs.diff_ids.extend(made.map(|m| m.diff_id.clone()));
        config.created = Some(now);
        config.author.clone_from(&request.author);
        config.comment.clone_from(&request.comment);
        config.config = request.config.clone();
        // Facts about how the base was built are not facts about this image.
        config.docker_version.clear();
        for key in [
            "container",
            "container_config",
            "id",
            "parent",
            "moby.buildkit.buildinfo.v1",
            "moby.buildkit.cache.v0",
        ] {
            config.other.remove(key);
        }
        config
    }

    /// A base for a container whose image is gone, or that was made from nothing.
    fn stand_in(&self, below: &[Digest]) -> ImageConfig {
        let catalog = self.catalog();
        let diff_ids =
            below.iter().rev().filter_map(|chain| catalog.layers.get(chain)).map(|l| l.diff_id.clone());
        let platform = Platform::host();
        ImageConfig {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: diff_ids.collect() },
            ..ImageConfig::default()
        }
    }
}

/// Whether the writer failed because the reader gave up.
fn is_broken_pipe(error: &snapshot::Error) -> bool {
    matches!(error, snapshot::Error::Archive(archive::Error::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests;
