//! The engine's side of netd: starts it or finds it, tells it what to forward, and starts it again when it dies.

mod ask;
mod refill;
mod watch;

use crate::{
    config::{Config, Program},
    daemon::{self, Daemon},
    error::{Error, Result},
    halt::Halt,
    lead::Lead,
    listeners::Listeners,
    names,
    netlink::{Netlink, nft},
    netns,
    port_driver::Guide,
    router::Router,
};
use model::Id;
use netd::{
    client::{self, Client, ResolverPorts},
    proto::{Listen, Names, Port, Resolver},
    state::State,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long stopping waits for a start that is under way to be given up.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a request waits for a forwarder that is being started again: what was asked for meanwhile should not fail.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long `docker info` waits for what there is to say about it.
const TROUBLES_PATIENCE: Duration = Duration::from_secs(1);
/// Between two attempts at what may work the next time.
const BREATH: Duration = Duration::from_millis(10);

/// The forwarder.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
}

struct Shared {
    program: Program,
    path: PathBuf,
    router: Arc<Router>,
    lead: Option<Lead>,
    /// The kernel cannot route replies back to transparent sockets.
    gateway_sources: bool,
    socket: PathBuf,
    state: PathBuf,
    log: PathBuf,
    /// What it is given instead of binding it.
    listeners: Listeners,
    guide: Arc<Guide>,
    /// What is to be forwarded: the engine's list, from which a new forwarder is filled.
    ports: Mutex<BTreeMap<Listen, Port>>,
    /// Endpoints' names and containers' resolvers, for the same purpose.
    names: Mutex<BTreeMap<Id, Names>>,
    resolvers: Mutex<BTreeMap<Id, Told>>,
    client: Mutex<Option<Client>>,
    daemon: Mutex<Option<Daemon>>,
    halt: Halt,
}

/// A resolver, its container's namespace, and the ports that port 53 leads to there.
struct Told {
    resolver: Resolver,
    netns: Arc<OwnedFd>,
    led_to: Option<ResolverPorts>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Forwarder {
    /// Finds the forwarder of an earlier engine, or starts one.
    pub(crate) fn open(
        config: &mut Config,
        router: &Arc<Router>,
        lead: Option<Lead>,
        guide: Arc<Guide>,
    ) -> Result<Self> {
        let listeners = Listeners::new(
            Arc::clone(router),
            Arc::clone(&guide),
            config.launcher.clone(),
            std::mem::take(&mut config.inherited),
        );
        let shared = Arc::new(Shared {
            program: config.netd.clone(),
            path: config.router.clone(),
            router: Arc::clone(router),
            lead,
            gateway_sources: router.without_nft.is_some(),
            socket: config.run.netd_socket(),
            state: config.run.netd_state(),
            log: config.run.root().join("netd.log"),
            listeners,
            guide,
            ports: Mutex::default(),
            names: Mutex::default(),
            resolvers: Mutex::default(),
            client: Mutex::default(),
            daemon: Mutex::default(),
            halt: Halt::default(),
        });
        let handle = shared.find_or_start()?;
        watch::start(Arc::clone(&shared), handle)?;
        Ok(Self { shared })
    }

    /// Starts forwarding all of `ports`, or none.
    pub(crate) fn add(&self, ports: Vec<Port>) -> Result<(), client::Error> {
        self.shared.ask(PATIENCE, |client| {
            let known: BTreeSet<Listen> = lock(&self.shared.ports).keys().copied().collect();
            self.shared.listeners.add(client, &ports, &known)?;
            lock(&self.shared.ports).extend(ports.iter().map(|p| (p.listen, p.clone())));
            Ok(())
        })
    }

    /// Stops forwarding `ports`.
    pub(crate) fn remove(&self, ports: &[Listen]) -> Result<(), client::Error> {
        lock(&self.shared.ports).retain(|listen, _| !ports.contains(listen));
        if ports.is_empty() {
            return Ok(());
        }
        let withdrawn = self.shared.withdraw(|client| client.remove(ports.to_vec()));
        // Not before: a new forwarder may just have been told of them, and they were led to it again.
        if let Err(error) = self.shared.guide.withdraw(ports) {
            tracing::warn!(%error, "a port that is no longer published may stay taken on the host");
        }
        self.shared.listeners.forget(ports.iter().copied());
        withdrawn
    }

    /// Lets endpoints be found by name.
    pub(crate) fn name(&self, endpoints: Vec<Names>) -> Result<(), client::Error> {
        lock(&self.shared.names)
            .extend(endpoints.iter().map(|names| (names.endpoint.clone(), names.clone())));
        self.shared.ask(PATIENCE, |client| client.name(endpoints.clone()))
    }

    /// Forgets endpoints' names.
    pub(crate) fn unname(&self, endpoints: Vec<Id>) -> Result<(), client::Error> {
        if endpoints.is_empty() {
            return Ok(());
        }
        lock(&self.shared.names).retain(|endpoint, _| !endpoints.contains(endpoint));
        self.shared.withdraw(|client| client.unname(endpoints.clone()))
    }

    /// Starts or changes a container's resolver.
    pub(crate) fn resolve(&self, resolver: Resolver, netns: &Arc<OwnedFd>) -> Result<()> {
        let container = resolver.container.clone();
        let mut resolvers = lock(&self.shared.resolvers);
        let led_to = resolvers.get(&container).and_then(|told| told.led_to);
        resolvers.insert(container.clone(), Told { resolver, netns: Arc::clone(netns), led_to });
        drop(resolvers);
        self.shared.resolve(PATIENCE, &container)
    }

    /// Stops a container's resolver, if it has one.
    pub(crate) fn unresolve(&self, container: &Id) -> Result<(), client::Error> {
        lock(&self.shared.resolvers).remove(container);
        self.shared.withdraw(|client| client.unresolve(container.clone()))
    }

    /// Takes ports that an adopted container has into the list, without a word to the forwarder.
    pub(crate) fn adopt(&self, ports: Vec<Port>) {
        self.shared.guide.adopt(ports.iter().map(|port| port.listen));
        lock(&self.shared.ports).extend(ports.into_iter().map(|p| (p.listen, p)));
    }

    /// Brings the forwarder in line with the list: what it has beyond is removed, what it lacks is added. Returns the
    /// failures, each of which concerns one container.
    pub(crate) fn settle(&self) -> Result<Vec<(Id, client::Error)>, client::Error> {
        let wanted = lock(&self.shared.ports).clone();
        let there = self.shared.ask(PATIENCE, Client::list)?;
        let surplus: Vec<Listen> =
            there.iter().map(|p| p.listen).filter(|l| !wanted.contains_key(l)).collect();
        if !surplus.is_empty() {
            self.shared.ask(PATIENCE, |client| client.remove(surplus.clone()))?;
        }
        // However it came by its socket.
        let is_there =
            |wanted: &Port| there.iter().any(|t| Port { passed: wanted.passed, ..t.clone() } == *wanted);
        let missing = wanted.into_values().filter(|p| !is_there(p));
        let add = |port: Port| {
            let id = port.container.clone();
            let result = self.shared.ask(PATIENCE, |client| {
                self.shared.listeners.add(client, std::slice::from_ref(&port), &BTreeSet::new())
            });
            result.err().map(|error| (id, error))
        };
        Ok(missing.filter_map(add).collect())
    }

    /// What the forwarder could not do in the last minutes. One that does not answer, or is of an earlier release, tells of
    /// none. (By a connection of its own: the standing one may be busy with thousands of ports.)
    pub(crate) fn troubles(&self) -> Vec<String> {
        let connected = Client::connect_within(&self.shared.socket, TROUBLES_PATIENCE);
        let told = connected.and_then(|mut client| client.troubles());
        told.unwrap_or_else(|error| {
            tracing::debug!(%error, "the forwarder does not tell its troubles");
            Vec::new()
        })
    }

    /// Ends the standing connection.
    #[cfg(test)]
    pub(crate) fn hang_up(&self) {
        *lock(&self.shared.client) = None;
    }

    /// Does not start another any more: it is the next engine's.
    pub(crate) fn let_go(&self) {
        self.shared.halt.ask();
    }

    /// Ends the forwarder.
    pub(crate) fn stop(&self) -> Result<()> {
        self.shared.halt.ask();
        *lock(&self.shared.client) = None;
        let ended = lock(&self.shared.daemon).take().map_or(Ok(()), |daemon| daemon.end());
        // One that is just being started is ended by the thread that starts it.
        if !self.shared.halt.wait_unwatched(STOP_PATIENCE) {
            tracing::warn!("the start of the forwarder takes too long to be given up");
        }
        ended.and(daemon::remove_file(&self.shared.state)).and(daemon::remove_file(&self.shared.socket))
    }
}

impl Drop for Forwarder {
    /// The watching thread must not restart what outlives this value.
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Shared {
    fn find_or_start(&self) -> Result<OwnedFd> {
        let known = daemon::read_record::<State>(&self.state)?;
        if let Some(found) = known.as_ref().and_then(|state| Daemon::find(state.process).ok()) {
            let outward = self.lead.map(|lead| lead.settings);
            let fits = known
                .is_some_and(|state| state.router_inode == self.router.inode() && state.outward == outward);
            if fits && let Ok(client) = Client::connect(&self.socket) {
                match self.raise().and_then(|()| found.handle()) {
                    Ok(handle) => {
                        *lock(&self.client) = Some(client);
                        *lock(&self.daemon) = Some(found);
                        return Ok(handle);
                    }
                    // Its tun may be gone or have another name. A new forwarder has a new one.
                    Err(error) => tracing::warn!(%error, "the forwarder that is there is of no use"),
                }
            }
            found.end()?;
        }
        self.start()
    }

    fn start(&self) -> Result<OwnedFd> {
        let failed = |source| Error::StartNetd { program: self.program.path.clone(), source };
        let log = daemon::log_file(&self.log)?;
        let mut command = Command::new(&self.program.path);
        command
            .args(&self.program.args)
            .arg("--socket")
            .arg(&self.socket)
            .arg("--state")
            .arg(&self.state)
            .arg("--router")
            .arg(&self.path)
            .args(self.gateway_sources.then_some("--gateway-sources"))
            .args(self.lead.map(|_| "--outward"))
            .args(self.lead.filter(|lead| lead.settings.host_loopback).map(|_| "--host-loopback"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = daemon::spawn(&mut command).map_err(failed)?;
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let daemon = Daemon::of_child(&mut child)?;
        let (client, handle) = daemon.unless_failed(self.join(&daemon, stdout))?;
        *lock(&self.client) = Some(client);
        *lock(&self.daemon) = Some(daemon);
        // Whoever stops found nothing to end a moment ago.
        if self.halt.is_asked()
            && let Some(daemon) = lock(&self.daemon).take()
        {
            daemon.end()?;
        }
        Ok(handle)
    }

    /// Waits until a new forwarder is ready, and connects to it.
    fn join(&self, daemon: &Daemon, stdout: ChildStdout) -> Result<(Client, OwnedFd)> {
        let failed = |source| Error::StartNetd { program: self.program.path.clone(), source };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        if line.trim_end() != netd::READY {
            let words = daemon::last_words(&self.log);
            return Err(failed(std::io::Error::other(format!("it did not get ready: {words}"))));
        }
        self.raise()?;
        Ok((Client::connect(&self.socket)?, daemon.handle()?))
    }

    /// Leads what leaves the router namespace into the forwarder's tun, which is as old as the forwarder. As long as that
    /// tun is there another forwarder would do no better, and connections would end with this one: so it is tried again.
    fn raise(&self) -> Result<()> {
        let Some(lead) = self.lead else { return Ok(()) };
        let end = Instant::now() + PATIENCE;
        loop {
            match self.router.raise_tun(lead.mtu) {
                Err(error) if Instant::now() < end && self.router.has_tun() && self.halt.pause(BREATH) => {
                    tracing::debug!(%error, "the forwarder's tun is there, but not up yet");
                }
                other => return other,
            }
        }
    }

    /// Has a container's queries answered as is wanted by then, and port 53 led to where they are unless it leads there
    /// already.
    fn resolve(&self, patience: Duration, container: &Id) -> Result<()> {
        let wanted = || {
            let resolvers = lock(&self.resolvers);
            resolvers.get(container).map(|told| (told.resolver.clone(), Arc::clone(&told.netns), told.led_to))
        };
        let asked = self.ask(patience, |client| {
            let Some((resolver, netns, led_to)) = wanted() else { return Ok(None) };
            client.resolve(resolver, netns.as_fd()).map(|ports| Some((ports, netns, led_to)))
        })?;
        let Some((ports, netns, led_to)) = asked else { return Ok(()) };
        if led_to != Some(ports) {
            netns::inside(netns.as_fd(), || {
                let mut netlink = Netlink::netfilter_here()?;
                nft::lead_to_resolver(&mut netlink, names::EMBEDDED, ports.udp, ports.tcp)
            })?;
        }
        if let Some(told) = lock(&self.resolvers).get_mut(container) {
            told.led_to = Some(ports);
        }
        Ok(())
    }
}

/// Ends a forwarder that leads out, for another program is to.
pub(crate) fn end_leading(state: &Path) -> Result<()> {
    let known = daemon::read_record::<State>(state)?.filter(|state| state.outward.is_some());
    known.and_then(|state| Daemon::find(state.process).ok()).map_or(Ok(()), |found| found.end())
}
