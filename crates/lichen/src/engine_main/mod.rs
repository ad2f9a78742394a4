//! `lichen engine`: the engine's process, inside the namespaces. Started by the launcher only.
//!
//! It reads its configuration from the same arguments, file and environment as the launcher did, opens what is stored,
//! adopts what runs, and serves the API until it is told to end, or until the launcher is gone.

pub(crate) mod causes;
mod cgroups;
mod config;
mod launcher;
mod listeners;
mod network;
mod reload;
mod tls;

use crate::daemon::{
    config::{self as daemon_config, Config},
    engine_process::{LAUNCHER, LOCKS, SERVICE, SHIM_PROGRAM},
    logging, settings,
};
use anyhow::{Context, Result};
use engine::Engine;
use std::{
    os::fd::OwnedFd,
    os::unix::net::UnixStream,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};

/// Runs the engine with the arguments of `daemon`.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match prepare(arguments).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lichen engine: {}", causes::line(&error));
            ExitCode::FAILURE
        }
    }
}

/// What the engine would refuse of a configuration, before it is started with it.
///
/// # Errors
/// What is wrong, and with which option.
pub(crate) fn check(config: &Config) -> Result<()> {
    config::check(config)?;
    config.storage_driver.as_deref().map(snapshot::check_name).transpose()?;
    network::check(config)
}

struct Prepared {
    config: Config,
    arguments: Vec<String>,
    level: logging::Level,
    launcher: UnixStream,
    service: launcher::Service,
    /// The sealed `lichen-shim`, for starting the forwarder.
    shim: OwnedFd,
    listeners: listeners::Inherited,
    /// Released by the kernel when the process ends, and not before.
    _locks: Vec<OwnedFd>,
}

fn prepare(arguments: &[String]) -> Result<Prepared> {
    let launcher =
        UnixStream::from(sys::fds::take_inherited(LAUNCHER).context("this is started by `lichen daemon`")?);
    let shim = sys::fds::take_inherited(SHIM_PROGRAM)?;
    let service = launcher::Service::new(sys::fds::take_inherited(SERVICE)?.into());
    let locks = LOCKS.map(sys::fds::take_inherited).into_iter().collect::<Result<_, _>>()?;
    let listeners = listeners::inherited()?;
    let config = daemon_config::load(&settings::parse(arguments)?)?;
    let level = logging::start(&config.log);
    let arguments = arguments.to_vec();
    Ok(Prepared { config, arguments, level, launcher, service, shim, listeners, _locks: locks })
}

fn run(prepared: Prepared) -> Result<()> {
    // Two threads serve thousands of idle connections; blocking work has its own, which come and go.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(serve(prepared));
    // Whoever still waits for a log line or an event is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(prepared: Prepared) -> Result<()> {
    let Prepared { config, arguments, level, launcher, service, shim, listeners, _locks } = prepared;
    launcher.set_nonblocking(true)?;
    let mut launcher = tokio::net::UnixStream::from_std(launcher)?;
    let mut config = Arc::new(config);
    let opening = config.clone();
    let shim = Arc::new(shim);
    let program = shim.clone();
    let engine =
        tokio::task::spawn_blocking(move || open(&opening, &program, listeners.ports, service)).await??;
    engine::adopt::adopt(&engine).await.context("adopt the containers of an earlier run")?;

    engine::rest::watch(&engine);
    let listeners = listeners::open(&config, listeners.api)?;
    // The launcher passes signals on from the moment it is told.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Before the first client is accepted: clients wait in the sockets' queues, and without a launcher, whose successor
    // opens sockets of its own, none is to be accepted only to be dropped.
    launcher.write_all(b"!").await.context("tell the launcher that the engine serves")?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(api::serve(engine.clone(), listeners, async move {
        // A dropped sender means the same: this process ends.
        stopped.await.unwrap_or(());
    }));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = hang_up.recv() => config = reload::reload(&engine, &config, &arguments, &level).await,
            () = orphaned(&mut launcher) => {
                // Killed, so nothing was asked for: containers go on, and the next launcher's engine adopts them.
                tracing::warn!("the launcher is gone; ending without touching containers");
                return Ok(());
            }
        }
    }
    engine::shutdown::shutdown(&engine).await.context("stop the containers")?;
    if stop.send(()).is_err() {
        tracing::warn!("the API server had ended already");
    }
    server.await.context("the API server")?;
    Ok(())
}

/// Returns when the launcher's end of the socket is closed.
async fn orphaned(launcher: &mut tokio::net::UnixStream) {
    let mut byte = [0];
    while matches!(launcher.read(&mut byte).await, Ok(1)) {}
}

/// Opens everything that blocks: the store, the storage driver, images, volumes, networks.
fn open(
    config: &Config,
    shim: &OwnedFd,
    ports: Vec<OwnedFd>,
    service: launcher::Service,
) -> Result<Arc<Engine>> {
    let snapshot::Selected { driver, warnings } =
        snapshot::open(&config.data, config.storage_driver.as_deref())?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let store = store::Store::open(config.data.database())?;
    let registries = config::registries(config);
    let images = image::ImageStore::open(store.clone(), &config.data, driver.clone(), registries)?;
    let volumes = volume::Volumes::open(&store, config.data.volumes())?;
    let networks = ::network::Networks::open(network::config(config, shim, ports, service)?, &store)?;
    Ok(Arc::new(Engine {
        config: config::engine(config, warnings, shim)?,
        containers: Default::default(),
        execs: Default::default(),
        images: Arc::new(images),
        snapshots: driver,
        networks: Arc::new(networks),
        volumes: Arc::new(volumes),
        shims: engine::shims::Shims::new(config.run.clone()),
        events: Default::default(),
        stopping: AtomicBool::new(false),
        adopted: Default::default(),
        unread_records: Default::default(),
        store,
    }))
}
