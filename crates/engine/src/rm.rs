//! `rm`: takes a container apart.
//!
//! ```text
//! (kill) ─▶ marked ─▶ shim gone ─▶ tree, directory ─▶ volumes ─▶ record ─▶ gone
//! ```
//! From the mark on there is no way back: a new engine that finds [`State::Removing`] goes on.

use crate::{
    Engine, Error, blocking,
    container::{Container, Record, State},
    detached,
    events::Kind,
    fault, images,
    mounts::resolve,
    stop,
};
use model::Id;
use std::{collections::BTreeMap, io, path::Path, sync::Arc};

/// What a client may say about a removal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Kill it first if it runs.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// `reference` names a link, `/owner/alias`, to remove instead of a container.
    pub link: bool,
}

/// Removes a container.
///
/// # Errors
/// [`Error::RemoveRunning`], [`Error::RemovePaused`] without `force`; [`Error::RemovalInProgress`]. When a step fails,
/// the container is left [`State::Dead`] and can be removed again.
pub async fn rm(engine: &Arc<Engine>, reference: &str, options: Options) -> Result<(), Error> {
    if options.link {
        return remove_link(engine, reference);
    }
    let container = engine.containers.find(reference)?;
    if matches!(container.record().state, State::Removing { .. }) {
        return Err(Error::RemovalInProgress { reference: reference.to_owned() });
    }
    let (engine, reference) = (engine.clone(), reference.to_owned());
    detached("rm", async move {
        let _verb = container.lock().await;
        if container.record().gone {
            return Ok(());
        }
        end(&engine, &container, &reference, options.force).await?;
        take_apart(&engine, &container, options.volumes).await
    })
    .await
}

/// Removes the container after its end (`--rm`).
pub(crate) fn in_background(engine: &Arc<Engine>, container: &Arc<Container>) {
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move {
        let _verb = container.lock().await;
        if container.record().gone {
            return;
        }
        let removed = match end(&engine, &container, "", true).await {
            Ok(()) => take_apart(&engine, &container, true).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::error!(container = %container.id(), %error, "automatic removal");
        }
    });
}

async fn end(engine: &Engine, container: &Container, reference: &str, force: bool) -> Result<(), Error> {
    let state = &container.record().state;
    if !state.counts_as_running() {
        return Ok(());
    }
    let reference = reference.to_owned();
    match (force, state) {
        (true, _) => stop::kill_and_wait(engine, container).await,
        (false, State::Paused(_)) => Err(Error::RemovePaused { reference }),
        (false, state) => Err(Error::RemoveRunning { reference, status: state.status().as_str() }),
    }
}

/// Everything after the end; the caller holds the container's lock.
pub(crate) async fn take_apart(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    volumes: bool,
) -> Result<(), Error> {
    container
        .update(|record| record.state = State::Removing { exit: record.state.exit().cloned(), volumes })?;
    fault::point("rm.marked");
    // Clients that attached and waited for a start that never came.
    drop(container.live.take_waiting());
    let _tenancy = container.live.tenancy().await;
    fault::point("rm.shim");
    let work = {
        let (engine, container) = (engine.clone(), container.clone());
        move || {
            let layers = images::left_behind(&engine, &container.record());
            (take_apart_blocking(&engine, &container, volumes), layers)
        }
    };
    let (taken_apart, layers) = blocking("rm", work).await?;
    match taken_apart {
        Ok(removed_volumes) => {
            forget(engine, container, &removed_volumes);
            if layers.is_empty() {
                return Ok(());
            }
            let engine = engine.clone();
            blocking("rm", move || images::release(&engine, &layers)).await
        }
        Err(error) => {
            let message = error.to_string();
            container.update(|record| {
                record.state = State::Dead { exit: record.state.exit().cloned(), message };
            })?;
            Err(error)
        }
    }
}

fn take_apart_blocking(engine: &Engine, container: &Container, volumes: bool) -> Result<Vec<String>, Error> {
    let record = container.record();
    first_error(remove_files(engine, &record.id))?;
    let (removed, errors) = resolve::release(&record.mounts, &engine.volumes, &record.id, volumes);
    for error in errors {
        tracing::error!(container = %record.id, %error, "remove its volumes");
    }
    fault::point("rm.volumes");
    container.erase()?;
    fault::point("rm.done");
    Ok(removed)
}

/// Its tree and its directories. What is already gone is no error. Blocks.
pub(crate) fn remove_files(engine: &Engine, id: &Id) -> Vec<Error> {
    let mut errors = Vec::new();
    match engine.snapshots.remove_container(id) {
        Ok(()) | Err(snapshot::Error::NoSuchContainer(_)) => {}
        Err(error) => errors.push(error.into()),
    }
    fault::point("rm.tree");
    for directory in [engine.config.data.container(id), engine.config.run.shim(id)] {
        errors.extend(remove_directory(&directory).err());
    }
    fault::point("rm.directory");
    errors
}

fn remove_directory(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::file("remove directory", path)),
    }
}

fn first_error(errors: Vec<Error>) -> Result<(), Error> {
    let mut errors = errors.into_iter();
    match errors.next() {
        None => Ok(()),
        Some(cause) => Err(crate::create::with_undo(cause, errors.collect())),
    }
}

/// No longer findable; tells of it.
fn forget(engine: &Engine, container: &Container, volumes: &[String]) {
    engine.containers.remove(container.id());
    engine.execs.forget_container(container.id());
    engine.events.publish(
        Kind::Container,
        "destroy",
        container.id().as_str(),
        container.record().attributes(),
    );
    for volume in volumes {
        let attributes = BTreeMap::from([("driver".to_owned(), volume::DRIVER.to_owned())]);
        engine.events.publish(Kind::Volume, "destroy", volume, attributes);
    }
}

/// `rm --link /owner/alias`.
fn remove_link(engine: &Engine, reference: &str) -> Result<(), Error> {
    let path = reference.strip_prefix('/').unwrap_or(reference);
    let Some((owner, alias)) = path.split_once('/') else { return Err(Error::DefaultLink) };
    let owner = engine.containers.find(owner)?;
    let is_it = |link: &String| crate::create::validate::parse_link(link).is_ok_and(|(_, a)| a == alias);
    let found = owner.change(|record: &mut Record| {
        let before = record.host_config.links.len();
        record.host_config.links.retain(|link| !is_it(link));
        record.host_config.links.len() < before
    });
    if !found {
        return Err(Error::NoSuchLink { reference: reference.to_owned() });
    }
    owner.save()
}
