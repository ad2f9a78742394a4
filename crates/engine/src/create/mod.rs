//! `create`: from a request to a container that can be started.
//!
//! ```text
//! validate ─▶ image ─▶ merge ─▶ claim name ─▶ record (pending) ─▶ volumes ─▶ tree ─▶ record ─▶ findable
//! ```
//! From the first record on, everything is found again by the container's ID: a failure or a death in between undoes
//! all of it ([`undo`]).

mod defaults;
mod invalid;
mod merge;
mod populate;
mod propagation;
pub(crate) mod resources;
pub(crate) mod validate;

pub use invalid::Invalid;

use crate::{
    Engine, Error,
    container::{COLLECTION, Container, Pending, Record, State, names, record::Mount, registry::NameClaim},
    events::Kind,
    fault,
    mounts::{images, resolve},
};
use api_types::ContainerCreateRequest;
use image::Platform;
use model::{Id, Timestamp};
use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use std::{io, sync::Arc};

/// What a client is told about a new container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub id: Id,
    pub warnings: Vec<String>,
}

/// Makes a container called `name`, or by a made-up name, of its image for `platform` if there is such a wish.
///
/// # Errors
/// [`Error::Invalid`] for a request that cannot be met, [`Error::InvalidName`], [`Error::NameInUse`],
/// [`Error::Image`] when the image is not here. Nothing is left behind.
pub async fn create(
    engine: &Arc<Engine>,
    name: Option<&str>,
    platform: Option<&Platform>,
    mut request: ContainerCreateRequest,
) -> Result<Created, Error> {
    let mut host = request.host_config.take().unwrap_or_default();
    validate::config(&mut request.config)?;
    validate::host_config(&host, &engine.config)?;
    let mut warnings = resources::check(&mut host, &engine.config.cgroup, false)?;
    defaults::host_config(&mut host, &engine.config, &engine.containers)?;
    crate::links::pin(&mut host, &engine.containers)?;
    propagation::check(&host, engine.config.data.root())?;
    defaults::log_config(&mut host, &engine.config)?;
    warnings.extend(about(&host));
    let networks = defaults::networks(&request.config, &host, request.networking_config.take())?;
    crate::network_plan::check(engine, &request.config, &host, &networks)?;
    crate::plan::check(&host, &engine.config)?;
    crate::bypass::check(&host, &engine.config)?;

    // The pin keeps the image until the record, which protects it from then on, is findable.
    let (image, _pin) = match request.config.image.as_str() {
        "" => (None, None),
        reference => {
            let (image, pin) = engine.images.resolve_for_pinned(reference, platform)?;
            (Some(image), Some(pin))
        }
    };
    if platform.is_none() {
        warnings.extend(image.as_deref().and_then(crate::images::platform_warning));
    }
    let mut config = merge::merge(request.config, image.as_deref().map(|i| &i.config.config))?;
    // Again, for what the image added.
    validate::config(&mut config)?;
    let mut wanted = resolve::collect(&config, &host, &engine.containers)?;
    propagation::follow_data(&mut wanted, engine.config.data.root());
    let _mounted = images::resolve(engine, &host, &mut wanted)?;

    let id = Id::random();
    let claim = claim_name(engine, name, &id)?;
    if config.hostname.is_empty() && !host.network_mode.starts_with("container:") && host.uts_mode != "host" {
        config.hostname = match host.network_mode.as_str() {
            // As its network's owner is called (moby `newContainer`).
            "host" => crate::system::host_name(),
            _ => id.short().to_owned(),
        };
    }
    let record = Record {
        id: id.clone(),
        name: claim.name().to_owned(),
        created: Timestamp::now(),
        image: image.as_ref().map(|i| i.id.clone()),
        config,
        host_config: host,
        networks,
        mounts: Vec::new(),
        state: State::Created { failure: None },
        exits: 0,
        restart_count: 0,
        stopped_by_client: false,
        health: None,
        pending: Some(Pending::Creating),
        gone: false,
    };
    let container = Container::new(record, engine.store.collection(COLLECTION));
    let layer = image.as_ref().and_then(|i| i.top_layer().cloned());
    make(engine, &container, wanted, layer).await?;
    publish(engine, &container, claim);
    Ok(Created { id, warnings })
}

fn claim_name<'a>(engine: &'a Engine, name: Option<&str>, id: &Id) -> Result<NameClaim<'a>, Error> {
    if let Some(name) = name.filter(|n| !n.is_empty()) {
        return engine.containers.claim_name(names::parse(name)?, id);
    }
    for attempt in 0..6 {
        if let Ok(claim) = engine.containers.claim_name(&model::names::random(attempt), id) {
            return Ok(claim);
        }
    }
    engine.containers.claim_name(id.short(), id)
}

/// Volumes, the writable tree, the directory; all of it or nothing.
async fn make(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    wanted: Vec<crate::mounts::Wanted>,
    layer: Option<model::Digest>,
) -> Result<(), Error> {
    let (engine, container) = (engine.clone(), container.clone());
    // Detached from the caller: a client that goes away in the middle must not leave half a container.
    let task = tokio::task::spawn_blocking(move || {
        make_blocking(&engine, &container, wanted, layer.as_ref()).map_err(|cause| {
            let undone = undo(&engine, &container.record());
            with_undo(cause, undone)
        })
    });
    task.await.map_err(|_| Error::Panicked { operation: "create" })?
}

/// Programs look for this file to tell that they are in a container. What an image has of that name stays.
fn mark_as_container(engine: &Engine, id: &Id) -> Result<(), Error> {
    let rootfs = engine.snapshots.rootfs(id)?;
    let Some(top) = rootfs.topmost() else { return Ok(()) };
    let failed = |operation| Error::file(operation, top);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open(top, flags, Mode::empty()).map_err(io::Error::from).map_err(failed("open"))?;
    let mode = Mode::from(0o755);
    match rustix::fs::mknodat(&top, archive::mount_points::DOCKERENV, FileType::RegularFile, mode, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(failed("make .dockerenv in")(errno.into())),
    }
}

fn make_blocking(
    engine: &Engine,
    container: &Container,
    mut wanted: Vec<crate::mounts::Wanted>,
    layer: Option<&model::Digest>,
) -> Result<(), Error> {
    let id = container.id();
    resolve::name_volumes(&mut wanted);
    note_mounts(container, &wanted);
    container.save()?;
    fault::point("create.record");
    resolve::make(&mut wanted, &engine.volumes, id)?;
    note_mounts(container, &wanted);
    fault::point("create.volumes");
    engine.snapshots.create_container(id, layer)?;
    mark_as_container(engine, id)?;
    let directory = engine.config.data.container(id);
    std::fs::create_dir_all(&directory).map_err(Error::file("make directory", &directory))?;
    fault::point("create.tree");
    populate::populate(engine, id, &wanted)?;
    container.change(|record| record.pending = None);
    container.save()?;
    fault::point("create.done");
    Ok(())
}

fn note_mounts(container: &Container, wanted: &[crate::mounts::Wanted]) {
    let mounts: Vec<Mount> = wanted.iter().map(|w| w.mount.clone()).collect();
    container.change(|record| record.mounts = mounts);
}

/// Makes the container findable, and tells of it.
fn publish(engine: &Engine, container: &Arc<Container>, claim: NameClaim<'_>) {
    engine.containers.insert(container.clone());
    claim.keep();
    engine.events.publish(
        Kind::Container,
        "create",
        container.id().as_str(),
        container.record().attributes(),
    );
}

/// Takes a half-made container apart: what `make` did, in reverse, as far as it got. Also used by a new engine that
/// finds [`Pending::Creating`]. Blocks.
pub(crate) fn undo(engine: &Engine, record: &Record) -> Vec<Error> {
    let mut errors = crate::rm::remove_files(engine, &record.id);
    let (_, failed) = resolve::release(&record.mounts, &engine.volumes, &record.id, true);
    errors.extend(failed);
    if let Err(error) = engine.store.collection::<Record>(COLLECTION).delete(record.id.as_str()) {
        errors.push(error.into());
    }
    errors
}

pub(crate) fn with_undo(cause: Error, undo: Vec<Error>) -> Error {
    if undo.is_empty() { cause } else { Error::Undo { cause: Box::new(cause), undo } }
}

/// What is accepted and comes out otherwise.
fn about(host: &api_types::HostConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    if host.network_mode == "host" && !host.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    let lowered =
        |name| format!("Ulimit {name} is above what this user may raise it to. It was lowered to that.");
    warnings.extend(crate::plan::clamped(host).into_iter().map(lowered));
    warnings
}
