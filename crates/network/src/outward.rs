//! The way out of the router namespace: drivers for outward connectivity.
//!
//! # Vocabulary and lifecycle
//! A *driver* gives the router namespace one interface, [`crate::router::OUTWARD_INTERFACE`], with an address and a
//! default route. What containers send out leaves by it with its address (masqueraded by the router namespace). Lichen's
//! own way out is none of them: the forwarder leads out itself (`netd::outward`), supervised as the forwarder is, and
//! there is nothing to start here.
//!
//! As RootlessKit's drivers do, each has two halves. The *parent* half runs in the host's network namespace: the
//! program that turns packets into sockets. The *child* half is what is set up inside the router namespace: the
//! interface, address and route. slirp4netns and pasta do both, given the namespace; for the others an uplink does the
//! child half (crate `uplink`).
//!
//! ```text
//!   probe   is the program there, new enough, and may it open /dev/net/tun?
//!   start   run it, wait until the interface is configured; it then belongs to no engine
//!   adopt   a restarted engine finds it by its record (process, namespace) and asks nothing of it
//!   stop    end the program; its interface goes with it
//! ```
//!
//! The program is watched and started again when it ends. It is started in the background: an engine is of use before
//! packets leave.

mod choose;
mod gvisor;
mod lxc_user_nic;
mod pasta;
mod program;
pub(crate) mod slirp4netns;
mod supervise;
mod through_uplink;
mod vpnkit;

pub(crate) use program::check_tun;

use crate::{
    config::{Config, LARGE_MTU, Launcher, OutwardConfig, Program},
    daemon::{self, Daemon},
    error::{Error, OutwardError, Result},
    forwarder,
    halt::Halt,
    lead::Lead,
    netlink::link,
    port_driver::Guide,
    router::{OUTWARD_INTERFACE, Router},
};
use choose::{Choice, choose};
use model::ProcessRef;
use netd::outward::Settings;
use serde::{Deserialize, Serialize};
use std::{
    net::IpAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a container's start waits for the way out.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long stopping waits for a start that is under way to be given up.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What a driver needs to know to start.
pub(crate) struct Ground<'a> {
    pub router: &'a Router,
    pub config: &'a OutwardConfig,
    /// Where the program's output goes.
    pub log: &'a Path,
    /// A directory for its files.
    pub run: &'a Path,
    /// How to start an uplink.
    pub uplink: &'a Program,
    pub launcher: Option<&'a dyn Launcher>,
    /// To be told of a program whose start may take long, so that it can be ended before.
    pub begun: &'a dyn Fn(ProcessRef),
}

/// What a driver has started.
pub(crate) struct Started {
    daemon: Daemon,
    /// Where containers can ask for names, if that is known only now.
    resolver: Option<IpAddr>,
}

impl From<Daemon> for Started {
    fn from(daemon: Daemon) -> Self {
        Self { daemon, resolver: None }
    }
}

/// A driver that can be used.
pub(crate) trait Driver: Send + Sync {
    /// As `--net` names it.
    fn name(&self) -> &'static str;

    /// As the program reports it.
    fn version(&self) -> &str;

    /// Where containers can ask for names when the host's own resolvers are out of their reach, if that is always the same.
    fn resolver(&self) -> Option<IpAddr>;

    /// Whether it can listen for published ports, where its own port driver is wanted.
    fn can_publish(&self) -> Result<(), OutwardError> {
        Ok(())
    }

    /// Runs the program and waits until the interface is configured.
    fn start(&self, ground: &Ground<'_>) -> Result<Started, OutwardError>;
}

type AnyDriver = Box<dyn Driver>;
/// As `--net` names the forwarder's own way.
const LICHEN: &str = "lichen";

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    driver: String,
    process: ProcessRef,
    router_inode: u64,
    #[serde(default)]
    port_driver: String,
    #[serde(default)]
    resolver: Option<IpAddr>,
}

/// The driver in use.
pub(crate) struct Outward {
    shared: Arc<Shared>,
}

struct Shared {
    router: Arc<Router>,
    config: OutwardConfig,
    run: PathBuf,
    state: PathBuf,
    log: PathBuf,
    uplink: Program,
    launcher: Option<Arc<dyn Launcher>>,
    driver: Option<AnyDriver>,
    /// What the driver found out at its start.
    resolver: Mutex<Option<IpAddr>>,
    by_forwarder: Option<Settings>,
    guide: Arc<Guide>,
    warnings: Mutex<Vec<String>>,
    phase: Mutex<Phase>,
    settled: Condvar,
    daemon: Mutex<Option<Daemon>>,
    /// A program that is not ready yet.
    starting: Mutex<Option<Daemon>>,
    halt: Halt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    /// It works, or it does not and will not.
    Settled,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outward {
    /// Chooses a driver, and finds the program of an earlier engine or starts one in the background.
    ///
    /// # Errors
    /// [`Error::Outward`] when a driver that was asked for by name cannot be used.
    pub(crate) fn open(router: Arc<Router>, config: &Config) -> Result<Self> {
        let (run, uplink, launcher) = (&config.run, config.uplink.clone(), config.launcher.clone());
        let config = config.outward.clone();
        let Choice { by_forwarder, driver, mut warnings } = choose(&config, &router)?;
        let api = run.root().join(slirp4netns::API_SOCKET);
        let guide = Arc::new(Guide::new(config.port_driver, api, slirp4netns::ROUTER));
        if let (Some(driver), Some(reason)) = (&driver, &router.without_nft) {
            warnings.push(format!(
                "containers cannot reach the network through {}: the kernel refuses address translation ({reason}); \
                 load the modules nf_tables, nft_masq and nft_socket, or enable them in the kernel",
                driver.name()
            ));
        }
        let shared = Arc::new(Shared {
            router,
            config,
            run: run.root().to_owned(),
            state: run.root().join("outward.json"),
            log: run.root().join("outward.log"),
            phase: Mutex::new(if driver.is_some() { Phase::Starting } else { Phase::Settled }),
            uplink,
            launcher,
            driver,
            resolver: Mutex::default(),
            by_forwarder,
            guide,
            warnings: Mutex::new(warnings),
            settled: Condvar::new(),
            daemon: Mutex::default(),
            starting: Mutex::default(),
            halt: Halt::default(),
        });
        shared.end_foreign()?;
        if shared.by_forwarder.is_none() {
            // Two default routes would be one too many.
            forwarder::end_leading(&run.netd_state())?;
        }
        if shared.driver.is_some() {
            supervise::start(Arc::clone(&shared))?;
        }
        Ok(Self { shared })
    }

    pub(crate) fn name(&self) -> &'static str {
        let other = self.shared.driver.as_ref().map_or("none", |d| d.name());
        if self.shared.by_forwarder.is_some() { LICHEN } else { other }
    }

    pub(crate) fn version(&self) -> String {
        let other = self.shared.driver.as_ref().map(|d| d.version().to_owned()).unwrap_or_default();
        if self.shared.by_forwarder.is_some() { env!("CARGO_PKG_VERSION").to_owned() } else { other }
    }

    /// How the forwarder is to lead out, if it is what does.
    pub(crate) fn by_forwarder(&self) -> Option<Lead> {
        self.shared
            .by_forwarder
            .map(|settings| Lead { settings, mtu: self.shared.config.mtu.unwrap_or(LARGE_MTU) })
    }

    /// Who listens on the host for published ports.
    pub(crate) fn guide(&self) -> Arc<Guide> {
        Arc::clone(&self.shared.guide)
    }

    pub(crate) fn resolver(&self) -> Option<IpAddr> {
        match self.shared.by_forwarder {
            Some(_) => Some(netd::outward::RESOLVER_V4.into()),
            None => lock(&self.shared.resolver).or(self.shared.driver.as_ref().and_then(|d| d.resolver())),
        }
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        lock(&self.shared.warnings).clone()
    }

    /// Waits until the way out is there, or known not to be: a container's first packet should not be lost.
    pub(crate) fn wait_settled(&self) {
        let phase = lock(&self.shared.phase);
        let waiting = |phase: &mut Phase| *phase == Phase::Starting;
        // Past the patience the container starts all the same; the warning says why it has no way out.
        drop(self.shared.settled.wait_timeout_while(phase, START_PATIENCE, waiting));
    }

    pub(crate) fn stop(&self) -> Result<()> {
        self.shared.halt.ask();
        self.shared.end_starting();
        let ended = lock(&self.shared.daemon).take().map_or(Ok(()), |daemon| daemon.end());
        // Whatever the watching thread starts behind our back it ends itself, and may not be outlived by.
        if !self.shared.halt.wait_unwatched(STOP_PATIENCE) {
            tracing::warn!(driver = self.name(), "the start of the way out takes too long to be given up");
        }
        ended.and(daemon::remove_file(&self.shared.state))
    }
}

impl Drop for Outward {
    /// The watching thread must not restart what outlives this value.
    fn drop(&mut self) {
        self.shared.halt.ask();
    }
}

impl Shared {
    /// Ends the program of an earlier engine when another driver is wanted now, or it serves another namespace.
    fn end_foreign(&self) -> Result<()> {
        let Some(record) = daemon::read_record::<Record>(&self.state)? else { return Ok(()) };
        let Ok(found) = Daemon::find(record.process) else { return self.clear() };
        let fits = self.driver.as_ref().is_some_and(|d| d.name() == record.driver)
            && record.router_inode == self.router.inode()
            && self.router.has_outward()?;
        // One whose ports are led otherwise than is wanted now is of no use.
        let fits = fits && record.port_driver == self.config.port_driver.as_str();
        if fits {
            self.restore_ports(true);
            *lock(&self.resolver) = record.resolver;
            *lock(&self.daemon) = Some(found);
            self.settle();
            return Ok(());
        }
        found.end()?;
        self.clear()
    }

    /// Removes what a driver left in the router namespace: not every interface goes with its program.
    fn clear(&self) -> Result<()> {
        let changes: Vec<_> =
            [link::delete(OUTWARD_INTERFACE)].into_iter().chain(gvisor::unguard()).collect();
        self.router.netlink(|netlink| netlink.changes(&changes))
    }

    /// A port that cannot be led again keeps no other from being.
    fn restore_ports(&self, found: bool) {
        if let Err(error) = self.guide.restore(found) {
            tracing::error!(%error, "published ports may lead nowhere");
        }
    }

    fn begun(&self, process: ProcessRef) {
        // One that is gone already has nobody to end it.
        *lock(&self.starting) = Daemon::find(process).ok();
        if self.halt.is_asked() {
            self.end_starting();
        }
    }

    fn end_starting(&self) {
        let starting = lock(&self.starting).take();
        if let Some(Err(error)) = starting.map(|daemon| daemon.end()) {
            tracing::warn!(%error, "cannot end a driver that was not ready");
        }
    }

    /// Starts the program; where that fails nothing is left of it.
    fn start(&self) -> Result<OwnedFd> {
        self.clear()?;
        self.try_start().inspect_err(|_| {
            if let Err(error) = self.clear() {
                tracing::warn!(%error, "cannot remove what a driver left that did not start");
            }
        })
    }

    fn try_start(&self) -> Result<OwnedFd> {
        let driver = self.driver.as_ref().expect("only a driver is supervised");
        let ground = Ground {
            router: &self.router,
            config: &self.config,
            log: &self.log,
            run: &self.run,
            uplink: &self.uplink,
            launcher: self.launcher.as_deref(),
            begun: &|process| self.begun(process),
        };
        let started =
            driver.start(&ground).map_err(|reason| Error::Outward { driver: driver.name(), reason })?;
        let record = Record {
            driver: driver.name().to_owned(),
            process: started.daemon.process,
            router_inode: self.router.inode(),
            port_driver: self.config.port_driver.as_str().to_owned(),
            resolver: started.resolver,
        };
        let recorded = daemon::write_record(&self.state, &record).and_then(|()| started.daemon.handle());
        let handle = started.daemon.unless_failed(recorded)?;
        self.restore_ports(false);
        *lock(&self.resolver) = started.resolver;
        *lock(&self.daemon) = Some(started.daemon);
        *lock(&self.starting) = None;
        // Whoever stops found nothing to end a moment ago.
        if self.halt.is_asked()
            && let Some(daemon) = lock(&self.daemon).take()
        {
            daemon.end()?;
        }
        Ok(handle)
    }
}
