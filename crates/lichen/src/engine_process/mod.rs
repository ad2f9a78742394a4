//! The engine process: joins the holder's namespaces, opens what is stored, adopts what runs, serves the API.

mod cgroups;
mod config;
mod listeners;
mod network;
mod tls;

use crate::{
    handover::{Handover, READY},
    logging,
    settings::Settings,
};
use anyhow::{Context, Result};
use engine::Engine;
use model::{DataLayout, RunLayout};
use std::{
    fs::File,
    io::Read,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};

/// As `main` of a process that has one thread: joining a user namespace needs that (setns(2)).
pub(crate) fn main() -> ExitCode {
    match prepare().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lichen engine: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What was handed over, with its descriptors owned.
struct Prepared {
    settings: Settings,
    warnings: Vec<String>,
    shim: OwnedFd,
    control: OwnedFd,
    listeners: Vec<listeners::Inherited>,
}

fn prepare() -> Result<Prepared> {
    let fd = std::env::args().nth(2).and_then(|a| a.parse().ok());
    let fd = fd.context("this is started by `lichen daemon`")?;
    let mut text = String::new();
    File::from(sys::fds::take_inherited(fd)?).read_to_string(&mut text).context("read what the launcher handed over")?;
    let handover: Handover = serde_json::from_str(&text).context("read what the launcher handed over")?;
    let listeners = handover
        .listeners
        .into_iter()
        .map(|l| Ok(listeners::Inherited { fd: sys::fds::take_inherited(l.fd)?, kind: l.kind, address: l.address }))
        .collect::<Result<_>>()?;
    let prepared = Prepared {
        settings: handover.settings,
        warnings: handover.warnings,
        shim: sys::fds::take_inherited(handover.shim)?,
        control: sys::fds::take_inherited(handover.control)?,
        listeners,
    };
    rootless::enter::enter(&handover.holder)?;
    Ok(prepared)
}

fn run(prepared: Prepared) -> Result<()> {
    logging::start(&prepared.settings.log_level, prepared.settings.log_format == "json");
    // Two threads serve thousands of idle connections; blocking work has its own, which come and go.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(serve(prepared));
    // Whoever still waits for a log line or an event is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(prepared: Prepared) -> Result<()> {
    let Prepared { settings, warnings, shim, control, listeners } = prepared;
    let engine = {
        let settings = settings.clone();
        tokio::task::spawn_blocking(move || open(&settings, warnings, &shim).map(|engine| (engine, shim))).await??
    };
    let (engine, _shim) = engine;
    engine::adopt::adopt(&engine).await.context("adopt the containers of an earlier run")?;

    let mut control = tokio::net::UnixStream::from_std(nonblocking(control.into())?)?;
    let listeners = listeners::open(listeners, &settings)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(api::serve(engine.clone(), listeners, async move {
        // A dropped sender means the same: this process ends.
        stopped.await.unwrap_or(());
    }));
    control.write_all(&[READY]).await.context("tell the launcher that the engine serves")?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        // A terminal's Ctrl-C reaches the whole group; the launcher counts and passes on.
        _ = wait_for_two(&mut interrupt) => {}
        () = orphaned(&mut control) => {
            // The launcher was killed. Containers go on, and the next launcher's engine adopts them.
            tracing::warn!("the launcher is gone; ending without touching containers");
            return Ok(());
        }
    }
    engine::shutdown::shutdown(&engine).await.context("stop the containers")?;
    if stop.send(()).is_err() {
        tracing::warn!("the API server had ended already");
    }
    server.await.context("the API server")?;
    Ok(())
}

async fn wait_for_two(signal: &mut tokio::signal::unix::Signal) {
    // The first comes with the launcher's SIGTERM; by itself it means nothing.
    for _ in 0..2 {
        signal.recv().await;
    }
}

/// Returns when the launcher's end of the socket is closed.
async fn orphaned(control: &mut tokio::net::UnixStream) {
    let mut byte = [0];
    while matches!(control.read(&mut byte).await, Ok(1)) {}
}

fn nonblocking(stream: UnixStream) -> Result<UnixStream> {
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Opens everything that blocks: the store, the storage driver, images, volumes, networks.
fn open(settings: &Settings, mut warnings: Vec<String>, shim: &OwnedFd) -> Result<Arc<Engine>> {
    let data = DataLayout::new(&settings.data_root);
    let run = RunLayout::new(&settings.exec_root);
    let driver = settings.storage_driver.as_deref().filter(|d| !d.is_empty());
    let snapshot::Selected { driver, warnings: passed_over } = snapshot::open(&data, driver)?;
    for warning in &passed_over {
        tracing::warn!("{warning}");
    }
    warnings.extend(passed_over);
    let store = store::Store::open(data.database())?;
    let images = Arc::new(image::ImageStore::open(store.clone(), &data, driver.clone(), config::registries(settings)?)?);
    let volumes = Arc::new(volume::Volumes::open(&store, data.volumes())?);
    let networks = Arc::new(::network::Networks::open(network::config(settings, &run, shim)?, &store)?);
    let config = config::engine(settings, data, run.clone(), warnings)?;
    Ok(Arc::new(Engine {
        config,
        containers: Default::default(),
        execs: Default::default(),
        images,
        snapshots: driver,
        networks,
        volumes,
        shims: engine::shims::Shims::new(run),
        events: Default::default(),
        stopping: AtomicBool::new(false),
        store,
    }))
}
