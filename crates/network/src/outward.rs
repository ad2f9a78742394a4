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
//! interface, address and route. The drivers here have their program do both, given the namespace.
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

mod pasta;
pub(crate) mod slirp4netns;

use crate::{
    config::{OutwardChoice, OutwardConfig},
    daemon::{self, Daemon},
    error::{Error, OutwardError, Result},
    forwarder,
    lead::Lead,
    port_driver::{Guide, PortDriver},
    router::Router,
};
use model::{ProcessRef, RunLayout};
use netd::outward::Settings;
use serde::{Deserialize, Serialize};
use std::{
    net::IpAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How long a container's start waits for the way out.
const START_PATIENCE: Duration = Duration::from_secs(10);
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// What a driver needs to know to start.
pub(crate) struct Ground<'a> {
    pub router: &'a Router,
    pub config: &'a OutwardConfig,
    /// Where the program's output goes.
    pub log: &'a Path,
    /// A directory for its files.
    pub run: &'a Path,
}

/// A driver that can be used.
pub(crate) trait Driver: Send + Sync {
    /// As `--net` names it.
    fn name(&self) -> &'static str;

    /// As the program reports it.
    fn version(&self) -> &str;

    /// Where containers can ask for names when the host's own resolvers are out of their reach.
    fn resolver(&self) -> IpAddr;

    /// Runs the program and waits until the interface is configured.
    fn start(&self, ground: &Ground<'_>) -> Result<Daemon, OutwardError>;
}

type AnyDriver = Box<dyn Driver>;
type Probe = fn() -> Result<AnyDriver, OutwardError>;

/// As `--net` names the forwarder's own way.
const LICHEN: &str = "lichen";

const DRIVERS: [(OutwardChoice, &str, Probe); 2] = [
    (OutwardChoice::Slirp4netns, slirp4netns::NAME, slirp4netns::probe),
    (OutwardChoice::Pasta, pasta::NAME, pasta::probe),
];

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    driver: String,
    process: ProcessRef,
    router_inode: u64,
    #[serde(default)]
    port_driver: String,
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
    driver: Option<AnyDriver>,
    by_forwarder: Option<Settings>,
    guide: Arc<Guide>,
    warnings: Mutex<Vec<String>>,
    phase: Mutex<Phase>,
    settled: Condvar,
    daemon: Mutex<Option<Daemon>>,
    stopping: AtomicBool,
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
    pub(crate) fn open(router: Arc<Router>, config: OutwardConfig, run: &RunLayout) -> Result<Self> {
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
            driver,
            by_forwarder,
            guide,
            warnings: Mutex::new(warnings),
            settled: Condvar::new(),
            daemon: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        shared.end_foreign()?;
        if shared.by_forwarder.is_none() {
            // Two default routes would be one too many.
            forwarder::end_leading(&run.netd_state())?;
        }
        if shared.driver.is_some() {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("outward".into())
                .spawn(move || shared.supervise())
                .map_err(|source| Error::Namespace { operation: "start a thread", source })?;
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
        self.shared.by_forwarder.map(|settings| Lead { settings, mtu: self.shared.config.mtu })
    }

    /// Who listens on the host for published ports.
    pub(crate) fn guide(&self) -> Arc<Guide> {
        Arc::clone(&self.shared.guide)
    }

    pub(crate) fn resolver(&self) -> Option<IpAddr> {
        match self.shared.by_forwarder {
            Some(_) => Some(netd::outward::RESOLVER_V4.into()),
            None => self.shared.driver.as_ref().map(|d| d.resolver()),
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
        self.shared.stopping.store(true, Ordering::SeqCst);
        let ended = lock(&self.shared.daemon).take().map_or(Ok(()), |daemon| daemon.end());
        ended.and(daemon::remove_file(&self.shared.state))
    }
}

impl Drop for Outward {
    /// The watching thread must not restart what outlives this value.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
    }
}

/// Who leads out, and what to tell the user about it.
#[derive(Default)]
struct Choice {
    by_forwarder: Option<Settings>,
    driver: Option<AnyDriver>,
    warnings: Vec<String>,
}

/// A driver whose own port forwarding is chosen is to be chosen by name: with a fallback to another one ports would
/// lead nowhere.
fn check_port_driver(config: &OutwardConfig) -> Result<()> {
    let (needed, name) = match config.port_driver {
        PortDriver::Lichen => return Ok(()),
        PortDriver::Slirp4netns => (OutwardChoice::Slirp4netns, slirp4netns::NAME),
    };
    if config.driver == needed {
        return Ok(());
    }
    let named = DRIVERS.iter().find(|(choice, ..)| *choice == config.driver).map(|(_, name, _)| *name);
    let net = named.unwrap_or(match config.driver {
        OutwardChoice::Lichen => LICHEN,
        OutwardChoice::None => "none",
        _ => "auto",
    });
    Err(Error::PortDriver { port_driver: config.port_driver.as_str(), needed: name, net })
}

/// The driver asked for, or the first that can be used.
fn choose(config: &OutwardConfig, router: &Router) -> Result<Choice> {
    check_port_driver(config)?;
    let choice = config.driver;
    if choice == OutwardChoice::None {
        return Ok(Choice::default());
    }
    let mut reasons = Vec::new();
    if choice.may_be_lichen() {
        match &router.cannot_catch {
            None => {
                let settings = Settings { host_loopback: !config.disable_host_loopback };
                return Ok(Choice { by_forwarder: Some(settings), ..Choice::default() });
            }
            Some(reason) if choice == OutwardChoice::Lichen => {
                let reason = OutwardError::Kernel { reason: reason.clone() };
                return Err(Error::Outward { driver: LICHEN, reason });
            }
            Some(reason) => reasons.push(format!("{LICHEN}: {reason}")),
        }
    }
    for (known, name, probe) in DRIVERS {
        match probe() {
            _ if choice != OutwardChoice::Auto && choice != known => {}
            Ok(driver) => {
                let slower = |reason: &String| {
                    format!("{} leads out, more slowly than Lichen can: {reason}", driver.name())
                };
                let warnings = reasons.first().map(slower).into_iter().collect();
                return Ok(Choice { driver: Some(driver), warnings, by_forwarder: None });
            }
            Err(reason) if choice == known => return Err(Error::Outward { driver: name, reason }),
            Err(reason) => reasons.push(format!("{name}: {reason}")),
        }
    }
    let warning = format!(
        "containers on bridge networks cannot reach the outside (published ports and --network host work): no network \
         driver can be used ({})",
        reasons.join("; ")
    );
    Ok(Choice { warnings: vec![warning], ..Choice::default() })
}

impl Shared {
    /// Ends the program of an earlier engine when another driver is wanted now, or it serves another namespace.
    fn end_foreign(&self) -> Result<()> {
        let Some(record) = daemon::read_record::<Record>(&self.state)? else { return Ok(()) };
        let Ok(found) = Daemon::find(record.process) else { return Ok(()) };
        let fits = self.driver.as_ref().is_some_and(|d| d.name() == record.driver)
            && record.router_inode == self.router.inode()
            && self.router.has_outward()?;
        // One whose ports are led otherwise than is wanted now is of no use.
        let fits = fits && record.port_driver == self.config.port_driver.as_str();
        if fits {
            self.restore_ports(true);
            *lock(&self.daemon) = Some(found);
            self.settle();
            return Ok(());
        }
        found.end()
    }

    /// A port that cannot be led again keeps no other from being.
    fn restore_ports(&self, found: bool) {
        if let Err(error) = self.guide.restore(found) {
            tracing::error!(%error, "published ports may lead nowhere");
        }
    }

    fn settle(&self) {
        *lock(&self.phase) = Phase::Settled;
        self.settled.notify_all();
    }

    fn supervise(&self) {
        let mut pause = RESTART_PAUSE.0;
        loop {
            let running = lock(&self.daemon).as_ref().map(Daemon::handle);
            let handle = match running.unwrap_or_else(|| self.start()) {
                Ok(handle) => {
                    self.settle();
                    lock(&self.warnings).retain(|w| !w.starts_with(OUTAGE));
                    handle
                }
                Err(error) => {
                    tracing::error!(%error, "containers have no way out");
                    let mut warnings = lock(&self.warnings);
                    warnings.retain(|w| !w.starts_with(OUTAGE));
                    warnings.push(format!("{OUTAGE}: {error}"));
                    drop(warnings);
                    self.settle();
                    if !self.rest(&mut pause) {
                        return;
                    }
                    continue;
                }
            };
            let since = std::time::Instant::now();
            if let Err(error) = daemon::wait(&handle, None) {
                tracing::error!(%error, "cannot watch the outward driver");
                return;
            }
            *lock(&self.daemon) = None;
            if since.elapsed() > RESTART_PAUSE.1 {
                pause = RESTART_PAUSE.0;
            }
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            tracing::warn!(
                output = daemon::last_words(&self.log),
                "the outward driver ended; starting it again"
            );
            if !self.rest(&mut pause) {
                return;
            }
        }
    }

    /// Pauses, longer each time; false when the engine is stopping.
    fn rest(&self, pause: &mut Duration) -> bool {
        thread::sleep(*pause);
        *pause = (*pause * 2).min(RESTART_PAUSE.1);
        !self.stopping.load(Ordering::SeqCst)
    }

    fn start(&self) -> Result<OwnedFd> {
        let driver = self.driver.as_ref().expect("only a driver is supervised");
        let ground = Ground { router: &self.router, config: &self.config, log: &self.log, run: &self.run };
        let started =
            driver.start(&ground).map_err(|reason| Error::Outward { driver: driver.name(), reason })?;
        let record = Record {
            driver: driver.name().to_owned(),
            process: started.process,
            router_inode: self.router.inode(),
            port_driver: self.config.port_driver.as_str().to_owned(),
        };
        daemon::write_record(&self.state, &record)?;
        self.restore_ports(false);
        let handle = started.handle()?;
        *lock(&self.daemon) = Some(started);
        Ok(handle)
    }
}

/// How the warning of a driver that was chosen and does not run begins.
const OUTAGE: &str = "containers on bridge networks cannot reach the outside at the moment";

/// The program's path, found along `$PATH`.
fn find_program(name: &str, package: &'static str) -> Result<PathBuf, OutwardError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // System directories that a user's PATH often lacks hold some of them.
    let directories =
        std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let executable = |candidate: &PathBuf| {
        candidate.is_file() && rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok()
    };
    directories
        .map(|directory| directory.join(name))
        .find(executable)
        .ok_or(OutwardError::NotInstalled { package })
}

/// Whether this user may make taps.
pub(crate) fn check_tun() -> Result<(), OutwardError> {
    let opened = std::fs::File::options().read(true).write(true).open("/dev/net/tun");
    opened.map(drop).map_err(|source| OutwardError::Tun { source })
}

/// The first line that the program prints about its version.
fn ask_version(program: &Path) -> Result<String, OutwardError> {
    let output = std::process::Command::new(program)
        .arg("--version")
        .output()
        .map_err(|source| OutwardError::Run { program: program.to_owned(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
