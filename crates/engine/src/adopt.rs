//! What a new engine does about what an earlier one left: containers that run, that ended meanwhile, or that are
//! half made or half removed. And what an engine does when a shim dies under it.
//!
//! | found | done |
//! |---|---|
//! | [`Pending::Creating`] | undone |
//! | [`Pending::Starting`] | adopted if the program runs, else undone |
//! | running, shim alive | adopted |
//! | running, shim dead | adopted with a new shim, which takes the stdio from the holder |
//! | running, ended meanwhile | the end is handled as if it came now |
//! | [`State::Restarting`] | started |
//! | [`State::Removing`] | removed |
//! | ended, and the restart policy wants it | started |
//! | a tree or directory without a record | removed |
//!
//! What is started or restarted is so once all else is done (moby's `waitForStartupDone`).

use crate::{
    Engine, Error, blocking,
    container::{COLLECTION, Container, Failure, Pending, Record, Run, State},
    create, exec, health, images,
    live::Tenancy,
    monitor,
    network_plan::Mode,
    networks, restart_policy, rm,
    shims::{Events, Shim},
    start,
};
use model::{Id, ProcessRef, Timestamp};
use shim_proto::{ExitRecord, ShimStatus, Stage};
use std::{
    collections::BTreeSet,
    os::fd::OwnedFd,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

/// Exit code of a container whose end nobody saw; what moby reports for it too.
const UNKNOWN: i32 = 255;

/// So long after its start an engine keeps whole layers that no image has: a pull that another engine died in finds them.
const LEFTOVERS_STAY: Duration = Duration::from_secs(600);

/// Brings the registry up from the store. To be called once, before the first request.
///
/// # Errors
/// When the store cannot be read. Whatever is wrong with single containers goes to the log and leaves the others be.
pub async fn adopt(engine: &Arc<Engine>) -> Result<(), Error> {
    let records = load(engine).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for container in records {
        let engine = engine.clone();
        tasks.spawn(async move { one(&engine, &container).await });
    }
    while tasks.join_next().await.is_some() {}
    let settling = engine.clone();
    let settled = blocking("adopt", move || {
        if let Err(error) = settling.networks.settle() {
            tracing::error!(%error, "settle the networks of adopted containers");
        }
    })
    .await;
    tokio::spawn(collect_garbage(Arc::downgrade(engine)));
    // It is called once.
    engine.adopted.set(()).unwrap_or(());
    settled
}

/// Removes layers of pulls that were cut short, once whoever asked for them has had the time to ask again.
async fn collect_garbage(engine: Weak<Engine>) {
    tokio::time::sleep(LEFTOVERS_STAY).await;
    let Some(engine) = engine.upgrade() else { return };
    match blocking("collect unused layers", move || images::collect_garbage(&engine)).await {
        Ok(Ok(pruned)) => tracing::debug!(?pruned, "collected unused layers"),
        Ok(Err(error)) | Err(error) => tracing::error!(%error, "collect unused layers"),
    }
}

/// Every record becomes a container in the registry; half-made ones are undone, leftovers removed.
///
/// The engine remembers when one could not be read.
async fn load(engine: &Arc<Engine>) -> Result<Vec<Arc<Container>>, Error> {
    let engine = engine.clone();
    blocking("adopt", move || {
        let mut known = BTreeSet::new();
        let mut containers = Vec::new();
        for (key, record) in engine.store.collection::<Record>(COLLECTION).list_lossy()? {
            match record {
                Ok(record) if record.pending == Some(Pending::Creating) => {
                    for error in create::undo(&engine, &record) {
                        tracing::error!(container = key, %error, "undo its creation");
                    }
                }
                Ok(record) => {
                    known.insert(record.id.clone());
                    containers.extend(register(&engine, record));
                }
                Err(error) => {
                    // Its files stay, for a release that can read the record.
                    known.extend(key.parse::<Id>().ok());
                    engine.unread_records.store(true, Ordering::Release);
                    tracing::error!(container = key, %error, "its record cannot be read: left out");
                }
            }
        }
        remove_leftovers(&engine, &known);
        Ok(containers)
    })
    .await?
}

fn register(engine: &Engine, record: Record) -> Option<Arc<Container>> {
    for mount in record.volumes() {
        if let Err(error) = engine.volumes.hold(&mount.name, &record.id) {
            tracing::warn!(container = %record.id, %error, "hold its volume");
        }
    }
    let container = Container::new(record, engine.store.collection(COLLECTION));
    let record = container.record();
    match engine.containers.claim_name(&record.name, &record.id) {
        Ok(claim) => claim.keep(),
        Err(error) => {
            tracing::error!(container = %record.id, %error, "two containers of one name: found by ID only")
        }
    }
    engine.containers.insert(container.clone());
    Some(container)
}

/// Trees and directories that no record knows: of a creation that died before its record, or a removal after it.
fn remove_leftovers(engine: &Engine, known: &BTreeSet<Id>) {
    let mut strays: BTreeSet<Id> = engine.snapshots.containers().into_iter().collect();
    if let Ok(entries) = std::fs::read_dir(engine.config.data.containers()) {
        strays.extend(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<Id>().ok()));
    }
    for id in strays.difference(known) {
        tracing::info!(container = %id, "removing what a container left that has no record");
        for error in rm::remove_files(engine, id) {
            tracing::error!(container = %id, %error, "remove what it left");
        }
    }
}

async fn one(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.record();
    if record.state.run().is_none() && record.pending.is_none() {
        end_leftover_shim(engine, container).await;
    }
    let outcome = match (&record.state, record.pending) {
        (State::Removing { volumes, .. }, _) => rm::take_apart(engine, container, *volumes).await,
        (_, Some(Pending::Starting)) => unfinished_start(engine, container).await,
        (State::Running(_) | State::Paused(_), _) => running(engine, container).await,
        (State::Restarting { .. }, _) => {
            monitor::restart_after(engine, container, Duration::ZERO);
            Ok(())
        }
        (State::Exited { .. }, _) => {
            ended_before(engine, container);
            Ok(())
        }
        (State::Created { .. } | State::Dead { .. }, _) => Ok(()),
    };
    if let Err(error) = outcome {
        tracing::error!(container = %container.id(), %error, "adopt");
    }
}

/// The end was recorded, and its shim not yet let go.
async fn end_leftover_shim(engine: &Engine, container: &Container) {
    if !engine.config.run.shim(container.id()).exists() {
        return;
    }
    let _tenancy = container.live.tenancy().await;
    if let Ok((shim, _events)) = engine.shims.connect(container.id()) {
        start::end_shim(&shim).await;
    }
    remove_shim_directory(engine, container.id());
}

/// One that had ended before: removed or started, if it is one for that.
fn ended_before(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.record();
    let Some(exit) = record.state.exit() else { return };
    let policy = &record.host_config.restart_policy;
    if record.host_config.auto_remove {
        rm::in_background(engine, container);
    } else if restart_policy::at_engine_start(policy, exit, record.restart_count, record.stopped_by_client) {
        container.change(|record| record.state = State::Restarting { exit: exit.clone() });
        monitor::restart_after(engine, container, Duration::ZERO);
    }
}

/// One that ran when the earlier engine died.
async fn running(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    let tenancy = container.live.tenancy().await;
    match recover(engine, container).await {
        Recovered::Running { shim, events, status } => {
            take_over(engine, container, shim, events, &status, tenancy).await
        }
        Recovered::Ended { exit, shim } => {
            monitor::ended(engine, container, exit, shim.as_deref(), tenancy).await;
            Ok(())
        }
    }
}

/// One whose start was cut short: before its program began, or after.
async fn unfinished_start(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    let tenancy = container.live.tenancy().await;
    let found = match engine.shims.connect(container.id()) {
        Ok((shim, events)) => shim.state().await.ok().map(|status| (Arc::new(shim), events, status)),
        Err(_) => None,
    };
    match found {
        Some((shim, events, status))
            if matches!(status.stage, Stage::Running | Stage::Paused | Stage::Exited) =>
        {
            if let Some(process) = status.init {
                let started = status.started_at.unwrap_or_else(Timestamp::now);
                container.change(|record| record.state = State::Running(Run { process, started }));
            }
            container.change(|record| record.pending = None);
            match status.exit.clone() {
                Some(exit) => {
                    monitor::ended(engine, container, exit, Some(&shim), tenancy).await;
                    Ok(())
                }
                None => take_over(engine, container, shim, events, &status, tenancy).await,
            }
        }
        found => {
            if let Some((shim, ..)) = found {
                start::end_shim(&shim).await;
            }
            undo_start(engine, container).await
        }
    }
}

async fn undo_start(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    for error in start::release(engine, container).await {
        tracing::error!(container = %container.id(), %error, "undo its start");
    }
    remove_shim_directory(engine, container.id());
    container.update(|record| {
        let message = "the engine ended while the container was being started".to_owned();
        record.state = record.state.not_started(Failure { code: 128, message });
        record.pending = None;
    })?;
    if container.record().state.exit().is_some() {
        // It had run before, so its restart policy has a say.
        ended_before(engine, container);
    } else if container.record().host_config.auto_remove {
        rm::in_background(engine, container);
    }
    Ok(())
}

/// Goes on with a container that runs.
async fn take_over(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    shim: Arc<Shim>,
    events: Events,
    status: &ShimStatus,
    tenancy: Tenancy,
) -> Result<(), Error> {
    container.live.set_shim(Some(shim.clone()));
    container.update(|record| {
        if let Some(run) = record.state.run().cloned() {
            record.state =
                if status.stage == Stage::Paused { State::Paused(run) } else { State::Running(run) };
        }
    })?;
    for exit in &status.exec_exits {
        exec::ended(engine, container, exit);
    }
    hold_resources(engine, container).await?;
    health::watch(engine, container);
    monitor::watch(engine, container, shim, events, tenancy);
    Ok(())
}

/// Tells the network and the volumes that they are in use.
async fn hold_resources(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    let (engine, record) = (engine.clone(), container.record());
    blocking("adopt", move || {
        for mount in record.volumes() {
            engine.volumes.mount(&mount.name, &record.id)?;
        }
        let (Mode::Own, Some(run)) = (Mode::of(&record.host_config), record.state.run()) else { return Ok(()) };
        let path = format!("/proc/{}/ns/net", run.process.pid);
        let netns = std::fs::File::open(&path).map_err(Error::file("open", &path))?;
        let Some(sandbox) = engine.networks.adopt(&record.id, OwnedFd::from(netns))? else {
            tracing::warn!(container = %record.id, "its network is not known any more: it keeps its addresses until it ends");
            return Ok(());
        };
        networks::leave_unnamed(&engine, &record, &sandbox);
        Ok(())
    })
    .await?
}

/// What became of a container whose shim is not connected.
pub(crate) enum Recovered {
    Running { shim: Arc<Shim>, events: Events, status: Box<ShimStatus> },
    Ended { exit: ExitRecord, shim: Option<Arc<Shim>> },
}

/// Finds a running container's shim, or gives it another, or learns how the container ended.
pub(crate) async fn recover(engine: &Arc<Engine>, container: &Arc<Container>) -> Recovered {
    let id = container.id();
    if let Ok((shim, events)) = engine.shims.connect(id)
        && let Some(recovered) = ask(shim, events).await
    {
        return recovered;
    }
    // The shim is gone. It writes the record before it goes, if it goes on its own account.
    if let Ok(Some(exit)) = engine.shims.exit_record(id) {
        remove_shim_directory(engine, id);
        return Recovered::Ended { exit, shim: None };
    }
    let record = container.record();
    let Some(run) = record.state.run() else { return Recovered::Ended { exit: lost(), shim: None } };
    // Also when init has ended: what it wrote last is still in the streams that the holder keeps.
    match engine.shims.replace(id).await {
        Ok((shim, events)) => {
            if let Some(recovered) = ask(shim, events).await {
                return recovered;
            }
        }
        Err(error) => tracing::error!(container = %id, %error, "replace its shim"),
    }
    let exit = orphan_exit(engine, run.process).await.unwrap_or_else(lost);
    remove_shim_directory(engine, id);
    Recovered::Ended { exit, shim: None }
}

async fn ask(shim: Shim, events: Events) -> Option<Recovered> {
    let status = shim.state().await.ok()?;
    let shim = Arc::new(shim);
    match (status.stage, status.exit.clone()) {
        (Stage::Running | Stage::Paused, _) => {
            Some(Recovered::Running { shim, events, status: Box::new(status) })
        }
        (Stage::Exited, exit) => Some(Recovered::Ended { exit: exit.unwrap_or_else(lost), shim: Some(shim) }),
        (Stage::Empty | Stage::Created, _) => {
            start::end_shim(&shim).await;
            None
        }
    }
}

/// The end of a container that the holder reaped because its shim was gone. The holder learns of it by a signal, so it
/// may take a moment.
async fn orphan_exit(engine: &Engine, init: ProcessRef) -> Option<ExitRecord> {
    for wait in [0, 1, 5, 20, 100, 400] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let orphans = engine.shims.orphans().await.ok()?;
        if let Some(orphan) = orphans.iter().find(|o| o.pid == init.pid) {
            if let Err(error) = engine.shims.forget_orphans(vec![orphan.pid]).await {
                tracing::warn!(%error, "the holder keeps the exit of a container that is recorded");
            }
            return Some(ExitRecord { code: orphan.code, oom_killed: false, at: orphan.at, error: None });
        }
    }
    None
}

fn lost() -> ExitRecord {
    let error = Some("the exit status was lost".to_owned());
    ExitRecord { code: UNKNOWN, oom_killed: false, at: Timestamp::now(), error }
}

/// A shim removes its own directory; one that was killed cannot.
fn remove_shim_directory(engine: &Engine, id: &Id) {
    let directory = engine.config.run.shim(id);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(container = %id, %error, "remove its shim's directory");
        }
        _ => {}
    }
}
