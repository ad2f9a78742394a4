//! `docker commit`

use super::tag;
use crate::{Engine, Error, container::Record, events::Kind};
use api_types::ContainerConfig;
use image::CommitRequest;
use model::Digest;
use std::sync::Arc;

/// `POST /commit`, as the client sent it.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    pub repo: String,
    pub tag: String,
    pub author: String,
    pub comment: String,
    /// Hold the container still meanwhile.
    pub pause: bool,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// What differs from the container's own configuration.
    pub config: Option<ContainerConfig>,
}

/// Makes an image of a container's changes, and gives its ID.
pub async fn commit(engine: &Arc<Engine>, reference: &str, options: CommitOptions) -> Result<Digest, Error> {
    let container = engine.containers.find(reference)?;
    let record = container.record();
    let name = tag::repository(&options.repo, &options.tag)?;
    super::check_changes(&options.changes)?;
    let config = merged(&record, options.config);
    let comment = options.comment.clone();
    let request = CommitRequest {
        container: record.id.clone(),
        image: record.image.clone(),
        // The driver knows it also when the image was removed by force.
        top_layer: engine.snapshots.container_layer(&record.id)?,
        config: image_config(&config)?,
        changes: options.changes,
        author: options.author,
        comment: options.comment,
        created_by: record.config.cmd.clone().unwrap_or_default().join(" "),
        name: name.clone(),
    };
    let paused = options.pause && record.state.counts_as_running() && pause(engine, reference).await;
    let outcome = engine.images.commit(request).await;
    if paused {
        crate::pause::unpause(engine, reference).await?;
    }
    let id = outcome?;
    let mut attributes = record.attributes();
    attributes.insert("comment".to_owned(), comment);
    attributes.insert("imageID".to_owned(), id.to_string());
    attributes.insert("imageRef".to_owned(), name.map(|name| name.familiar()).unwrap_or_default());
    engine.events.publish(Kind::Container, "commit", record.id.as_str(), attributes);
    Ok(id)
}

/// Whether the container is paused now because of this. Where there is no cgroup to freeze, Docker too commits without.
async fn pause(engine: &Arc<Engine>, reference: &str) -> bool {
    match crate::pause::pause(engine, reference).await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%error, "commit without pausing");
            false
        }
    }
}

/// The container's configuration, in which the request's fields that say something win (moby `daemon/commit.go`).
fn merged(record: &Record, request: Option<ContainerConfig>) -> ContainerConfig {
    let mut config = record.config.clone();
    let Some(request) = request else { return config };
    let text = |own: &mut String, other: String| {
        if !other.is_empty() {
            *own = other;
        }
    };
    text(&mut config.user, request.user);
    text(&mut config.working_dir, request.working_dir);
    text(&mut config.stop_signal, request.stop_signal);
    config.cmd = request.cmd.or(config.cmd);
    config.entrypoint = request.entrypoint.or(config.entrypoint);
    config.healthcheck = request.healthcheck.or(config.healthcheck);
    config.exposed_ports.extend(request.exposed_ports);
    config.volumes.extend(request.volumes);
    config.labels.extend(request.labels);
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
    config.env.retain(|own| !request.env.iter().any(|other| name(own) == name(other)));
    config.env.extend(request.env);
    config
}

/// Both forms are Docker's own JSON, so the one is read as the other; what images do not carry is dropped.
fn image_config(config: &ContainerConfig) -> Result<image::ContainerConfig, Error> {
    let value = serde_json::to_value(config).and_then(serde_json::from_value);
    value.map_err(|source| Error::Convert { what: "container configuration", source })
}
