//! `start`: from a record to a running program.
//!
//! ```text
//! pending ─▶ ┬ network, files, plan, specification (blocking) ┬ ─▶ Create ─▶ Attach* ─▶ Start ─▶ running
//!            └ shim (asked of the holder)                     ┘
//! ```
//! The messages go out at once, and are answered in order.
//!
//! On failure everything is undone in reverse, and the reason is kept in the record; a new engine that finds
//! [`Pending::Starting`] does the same, or adopts the run if it has begun.

use crate::{
    Engine, Error, attach, blocking, bypass,
    container::{Container, Failure, Pending, Record, Run, State},
    detached, etc_files,
    events::Kind,
    fault, health, links,
    live::Tenancy,
    monitor, mounts, network_plan,
    network_plan::Mode,
    plan, rm,
    shims::{Events, Shim},
};
use shim_proto::{Create, Io, LogConfig, UserRequest, WindowSize};
use std::{os::fd::OwnedFd, sync::Arc, sync::atomic::Ordering};

/// Starts a container on a client's behalf.
///
/// # Errors
/// [`Error::AlreadyStarted`] (not modified) when it runs; [`Error::Start`] when its program cannot be run.
pub async fn start(engine: &Arc<Engine>, reference: &str) -> Result<(), Error> {
    let container = engine.containers.find(reference)?;
    let engine = engine.clone();
    detached("start", async move {
        let _verb = container.lock().await;
        check(&container.record())?;
        by_client(&engine, &container).await
    })
    .await
}

/// The part of a start that `restart` shares; the caller holds the container's lock.
pub(crate) async fn by_client(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    container.live.set_backoff(None);
    container.change(|record| {
        record.restart_count = 0;
        record.stopped_by_client = false;
    });
    run(engine, container).await
}

fn check(record: &Record) -> Result<(), Error> {
    match &record.state {
        State::Paused(_) => Err(Error::StartPaused),
        State::Running(_) | State::Restarting { .. } => Err(Error::AlreadyStarted),
        State::Removing { .. } | State::Dead { .. } => Err(Error::MarkedForRemoval { verb: "started" }),
        State::Created { .. } | State::Exited { .. } => Ok(()),
    }
}

/// Runs the container's program; the caller holds the container's lock and has seen that it does not run.
pub(crate) async fn run(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    if engine.stopping.load(Ordering::Relaxed) {
        return Err(Error::ShuttingDown);
    }
    let tenancy = container.live.tenancy().await;
    container.update(|record| record.pending = Some(Pending::Starting))?;
    fault::point("start.pending");
    match attempt(engine, container).await {
        Ok(started) => {
            running(engine, container, started, tenancy)?;
            Ok(())
        }
        Err(cause) => Err(failed(engine, container, cause, tenancy).await),
    }
}

/// A program that has just begun to run.
struct Started {
    shim: Arc<Shim>,
    events: Events,
    run: Run,
}

async fn attempt(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<Started, Error> {
    let record = container.record();
    let prepare = {
        let (engine, record) = (engine.clone(), record.clone());
        blocking("start", move || prepare(&engine, &record))
    };
    let (prepared, spawned) = tokio::join!(prepare, spawn(engine, &record));
    let (shim, events, placed) = spawned?;
    let shim = Arc::new(shim);
    // From here on a failure finds the shim, and ends it.
    container.live.set_shim(Some(shim.clone()));
    placed?;
    let Prepared { create, netns } = prepared??;
    fault::point("start.shim");
    let waiting = container.live.take_waiting().into_iter().map(|w| (w.attach, w.stream)).collect();
    let (process, started) = shim.run(create, netns.as_ref(), waiting).await.map_err(not_created)?;
    fault::point("start.started");
    Ok(Started { shim, events, run: Run { process, started } })
}

/// A shim, and whether it is in the cgroup that the container's is to be made beside.
async fn spawn(engine: &Engine, record: &Record) -> Result<(Shim, Events, Result<(), Error>), Error> {
    let (shim, events) = engine.shims.spawn(&record.id).await?;
    let placed = match shim.process() {
        Some(process) => engine.config.cgroup.prepare(record, process.pid).await,
        None => Ok(()),
    };
    Ok((shim, events, placed))
}

struct Prepared {
    create: Box<Create>,
    /// The network namespace the engine made; none when the runtime makes or joins one itself.
    netns: Option<OwnedFd>,
}

/// Everything that blocks: network, files, plan. What it did is undone by [`release`].
fn prepare(engine: &Engine, record: &Record) -> Result<Prepared, Error> {
    let links = links::resolve(engine, record)?;
    let wish = bypass::wish(&record.host_config, &engine.config)?;
    let sandbox = match Mode::of(&record.host_config) {
        Mode::Own => {
            let mut request = network_plan::sandbox(record)?;
            let dns = network_plan::dns(record, engine);
            request.ndots_chosen = dns.options.iter().any(|option| option.starts_with("ndots:"));
            request.dns_servers = dns.servers;
            request.bypass = wish.as_ref().map(|wish| wish.excepted.clone());
            Some(engine.networks.start(request).map_err(|source| Error::SetUpNetwork { source })?)
        }
        Mode::Host | Mode::Container(_) => None,
    };
    fault::point("start.network");
    let endpoints = sandbox.as_ref().map_or(&[][..], |s| &s.endpoints);
    etc_files::write(engine, record, endpoints, &links)?;
    let plan = plan::plan(engine, record, &links)?;
    let spec = spec::render(&plan)?;
    let netns = sandbox.map(|s| s.netns);
    let create = Create {
        id: record.id.clone(),
        bypass: bypass::policy(engine, record, wish.as_ref(), &spec)?,
        spec,
        rootfs: plan::rootfs(engine, record)?,
        user: UserRequest { user: record.config.user.clone(), groups: record.host_config.group_add.clone() },
        runtime: runtime(engine, record),
        io: io(record),
        log: log(engine, record),
        cgroup: plan::cgroup(&plan),
        dir: engine.config.data.container(&record.id),
        joins_netns: netns.is_some(),
        images: mounts::images::plan(engine, record)?,
    };
    Ok(Prepared { create: Box::new(create), netns })
}

fn runtime(engine: &Engine, record: &Record) -> shim_proto::RuntimeChoice {
    // Checked at creation; configuration may have lost it since, and the built-in one is always there.
    engine
        .config
        .settings
        .get()
        .runtimes
        .get(&record.host_config.runtime)
        .cloned()
        .unwrap_or(shim_proto::RuntimeChoice::Builtin)
}

fn io(record: &Record) -> Io {
    let config = &record.config;
    let [rows, columns] = record.host_config.console_size.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
    Io {
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        size: (config.tty && rows > 0 && columns > 0).then_some(WindowSize { rows, columns }),
    }
}

/// Where the container's output goes.
pub(crate) fn log(engine: &Engine, record: &Record) -> LogConfig {
    let config = &record.host_config.log_config;
    LogConfig {
        driver: config.r#type.clone(),
        path: crate::logs::path(engine, record),
        options: config.config.clone(),
        attrs: crate::logs::attributes(record),
        name: record.name.clone(),
        image: record.config.image.clone(),
        tag: crate::logs::tag(record),
    }
}

/// Records the run, tells of it, and has it watched.
fn running(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    started: Started,
    tenancy: Tenancy,
) -> Result<(), Error> {
    let saved = container.update(|record| {
        record.state = State::Running(started.run);
        record.pending = None;
        record.health = health::starting(&record.config);
    });
    fault::point("start.done");
    engine.events.publish(Kind::Container, "start", container.id().as_str(), container.record().attributes());
    let late = container.clone();
    tokio::spawn(async move { attach::deliver(&late).await });
    health::watch(engine, container);
    monitor::watch(engine, container, started.shim, started.events, tenancy);
    saved
}

/// Undoes what [`attempt`] did, and records why. Returns the error to report.
async fn failed(engine: &Arc<Engine>, container: &Arc<Container>, cause: Error, tenancy: Tenancy) -> Error {
    let mut undo = Vec::new();
    // Their clients see the end of their streams.
    drop(container.live.take_waiting());
    if let Ok(shim) = container.live.shim() {
        container.live.set_shim(None);
        end_shim(&shim).await;
    }
    undo.extend(release(engine, container).await);
    drop(tenancy);
    let (code, message) = match &cause {
        Error::Start { code, message } => (*code, message.clone()),
        other => (128, other.to_string()),
    };
    let saved = container.update(|record| {
        record.state = record.state.not_started(Failure { code, message });
        record.pending = None;
    });
    undo.extend(saved.err());
    if container.record().host_config.auto_remove {
        rm::in_background(engine, container);
    }
    crate::create::with_undo(cause, undo)
}

/// Ends a shim whose container does not run; one that does not answer ends by losing its connection.
pub(crate) async fn end_shim(shim: &Shim) {
    if let Err(error) = shim.shutdown().await
        && !error.is_disconnect()
    {
        tracing::warn!(%error, "a shim does not end as asked");
    }
}

/// Gives back what a run had: its network, and mounts of volumes. For a run that never came about as well as for one
/// that ended.
pub(crate) async fn release(engine: &Arc<Engine>, container: &Arc<Container>) -> Vec<Error> {
    let record = container.record();
    let has_network = matches!(Mode::of(&record.host_config), Mode::Own);
    let has_volumes = record.volumes().next().is_some();
    if !has_network && !has_volumes {
        return Vec::new();
    }
    let engine = engine.clone();
    let work = move || {
        let mut errors = Vec::new();
        for mount in record.volumes() {
            errors.extend(engine.volumes.unmount(&mount.name, &record.id).err().map(Error::from));
        }
        if has_network {
            errors.extend(engine.networks.stop(&record.id).err().map(Error::from));
        }
        errors
    };
    blocking("release", work).await.unwrap_or_else(|error| vec![error])
}

/// Docker's text for a program that could not be run, and its exit code: clients look for both.
fn not_created(error: crate::shims::Error) -> Error {
    let Some(failure) = error.failure() else { return error.into() };
    let code = failure.class.exit_code();
    let detail = match code {
        126 | 127 => format!("unable to start container process: {}", failure.message),
        _ => failure.to_string(),
    };
    let message = format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: {detail}"
    );
    Error::Start { code, message }
}
