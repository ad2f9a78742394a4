//! The crate's face: one value that the engine holds. Every method blocks; call them off the async threads.
//!
//! The verbs are in files of their own: [`crate::create`], `remove`, [`crate::start`], [`crate::stop`],
//! [`crate::connect`], [`crate::adopt`].

use crate::{
    books::{Books, Live},
    config::{AddressPool, Config},
    error::Result,
    forwarder::Forwarder,
    names::{self, DnsRequest, HostsRequest},
    netlink::nft::catch::TPROXY,
    outward::Outward,
    pools,
    ports::HostPortBook,
    predefined,
    reaper::Reaper,
    record::{Endpoint, Network, SandboxRecord},
    request::EndpointRequest,
    router::Router,
    stock::Stock,
};
use model::{Id, RunLayout};
use std::{
    net::IpAddr,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Collection, Store};

/// All networks of one engine, and the sandboxes of its running containers.
pub struct Networks {
    pub(crate) books: Arc<Mutex<Books>>,
    pub(crate) records: Collection<Network>,
    pub(crate) sandboxes: Collection<SandboxRecord>,
    pub(crate) router: Arc<Router>,
    pub(crate) outward: Outward,
    pub(crate) forwarder: Forwarder,
    pub(crate) host_ports: HostPortBook,
    pub(crate) pools: Vec<AddressPool>,
    pub(crate) reaper: Reaper,
    pub(crate) stock: Stock,
    pub(crate) run: RunLayout,
    /// Whose turn it is to write policies.
    pub(crate) policies: Mutex<()>,
}

/// What [`Networks::create`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub id: Id,
    pub warning: String,
}

/// A container on a network, for `network inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pub container: Id,
    pub container_name: String,
    pub endpoint: Endpoint,
}

/// What `docker info` says about the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutwardStatus {
    /// As `--net` names it, or `none`.
    pub driver: &'static str,
    /// As the program reports it; empty for `none`.
    pub version: String,
    /// As `--port-driver` names it; `lichen` is the forwarder.
    pub port_driver: &'static str,
    /// What does not work and how to mend it; for the start-up log and `docker info`.
    pub warnings: Vec<String>,
}

impl Networks {
    /// Reads the records, prepares the router namespace and the predefined networks, and starts or adopts the
    /// forwarder and the outward driver (the latter in the background: [`Networks::start`] waits for it).
    ///
    /// Then call [`Networks::adopt`] for each container that still runs, and [`Networks::settle`] once.
    pub fn open(config: Config, store: &Store) -> Result<Self> {
        Self::open_on(config, store, Some(TPROXY))
    }

    /// As [`Networks::open`] on a kernel with another name for its tproxy expression, or without nf_tables.
    pub(crate) fn open_on(mut config: Config, store: &Store, tproxy: Option<&'static str>) -> Result<Self> {
        let run = config.run.clone();
        let mut pools = std::mem::take(&mut config.address_pools);
        if pools.is_empty() {
            pools = pools::docker_defaults();
        }
        if !pools.iter().any(|pool| pool.base.addr().is_ipv6()) {
            pools.push(predefined::unique_local_pool(store)?);
        }
        let (records, sandboxes) = (store.collection("networks"), store.collection("sandboxes"));
        // Before there are processes that outlive this one: what is configured may be refused here.
        predefined::ensure(&records, &config.bridge, &pools)?;
        let router = Arc::new(Router::open(&config.router, &config.outward, tproxy)?);
        let outward = Outward::open(Arc::clone(&router), &config)?;
        let forwarder = Forwarder::open(&mut config, &router, outward.by_forwarder(), outward.guide())?;
        let books = Arc::new(Mutex::new(load(&records, &sandboxes, &router)?));
        let reaper = Reaper::start(Arc::clone(&router), Arc::clone(&books))?;
        let host_ports = HostPortBook::default();
        let default = lock(&books).find("bridge").ok().map(Live::port);
        let stock = Stock::open(Arc::clone(&router), default, outward.by_forwarder().is_some())?;
        let policies = Mutex::new(());
        Ok(Self {
            books,
            records,
            sandboxes,
            router,
            outward,
            forwarder,
            host_ports,
            pools,
            reaper,
            stock,
            run,
            policies,
        })
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// In order of creation.
    pub fn list(&self) -> Vec<Network> {
        let mut all: Vec<Network> = self.books().networks.values().map(|live| live.network.clone()).collect();
        all.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        all
    }

    /// By name, ID, or unambiguous ID prefix, in this order of preference.
    pub fn get(&self, name: &str) -> Result<Network> {
        Ok(self.books().find(name)?.network.clone())
    }

    /// The running containers on a network.
    pub fn attached(&self, network: &Id) -> Vec<Attached> {
        self.books()
            .endpoints(network)
            .map(|(record, endpoint)| Attached {
                container: record.container.clone(),
                container_name: record.container_name.clone(),
                endpoint: endpoint.clone(),
            })
            .collect()
    }

    /// Checks at `create` time what can be known before a container is started: that the network exists, and that
    /// static addresses fit it.
    pub fn check(&self, request: &EndpointRequest) -> Result<Network> {
        let books = self.books();
        let live = books.find(&request.network)?;
        crate::endpoint::check(&live.network, request)?;
        Ok(live.network.clone())
    }

    /// What a running container has: endpoints and ports.
    pub fn sandbox(&self, container: &Id) -> Option<SandboxRecord> {
        self.books().sandboxes.get(container).map(|sandbox| sandbox.record.clone())
    }

    /// A running container's namespace, for `--network container:X`.
    pub fn netns(&self, container: &Id) -> Result<OwnedFd> {
        let no_sandbox = || crate::Error::NoSandbox { container: container.short().to_owned() };
        let netns =
            self.books().sandboxes.get(container).map(|s| Arc::clone(&s.netns)).ok_or_else(no_sandbox)?;
        let duplicated = netns.try_clone();
        duplicated.map_err(|source| crate::Error::Namespace { operation: "duplicate a descriptor", source })
    }

    /// The text of `/etc/hosts` of a container with these endpoints.
    pub fn hosts(&self, endpoints: &[Endpoint], request: &HostsRequest) -> String {
        names::hosts(endpoints, request, self.host_gateway())
    }

    /// The text of `/etc/resolv.conf` of a container with these endpoints (none: `--network none`). For
    /// `--network host` give the host's own file instead, changed by `--dns*` ([`names::host_resolv_conf`]).
    pub fn resolv_conf(&self, endpoints: &[Endpoint], request: &DnsRequest) -> String {
        let (host, outward) = (names::host_file(), self.outward.resolver());
        names::resolv_conf(endpoints, request, &host, outward, self.has_resolvers())
    }

    /// What `host-gateway` means: an address that leads to the host from inside a container. With slirp4netns and pasta
    /// that is the host's own address on its network.
    pub fn host_gateway(&self) -> Option<IpAddr> {
        names::host_address()
    }

    /// The driver in use and what is wrong with it.
    pub fn outward(&self) -> OutwardStatus {
        let mut warnings = self.outward.warnings();
        if let Some(reason) = &self.router.without_nft {
            warnings.push(format!(
                "containers see clients of published ports as the gateway, and do not find each other by name: the kernel \
                 refuses nf_tables or its socket match ({reason})"
            ));
        }
        OutwardStatus {
            driver: self.outward.name(),
            version: self.outward.version(),
            port_driver: self.outward.guide().driver().as_str(),
            warnings,
        }
    }

    /// What the forwarder could not do in the last minutes and what to do about it, a line each, for `docker info`.
    pub fn troubles(&self) -> Vec<String> {
        self.forwarder.troubles()
    }

    /// Graceful stop of the engine, after the containers': ends the forwarder and the outward driver.
    pub fn shutdown(&self) -> Result<()> {
        self.reaper.finish();
        let forwarder = self.forwarder.stop();
        self.outward.stop().and(forwarder)
    }
}

pub(crate) fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the bridges that the records ask for, and takes the addresses that records of sandboxes hold: their
/// containers may still run.
fn load(
    records: &Collection<Network>,
    sandboxes: &Collection<SandboxRecord>,
    router: &Router,
) -> Result<Books> {
    let mut books = Books::default();
    for (_, network) in records.list()? {
        let mut live = Live::new(network, 0)?;
        if let Some(plan) = live.plan() {
            live.bridge_index = router.add_bridge(&plan)?;
        }
        books.networks.insert(live.network.id.clone(), live);
    }
    for (_, record) in sandboxes.list()? {
        for endpoint in &record.endpoints {
            if let Some(live) = books.networks.get_mut(&endpoint.network) {
                for error in live.reclaim(endpoint) {
                    // The bridge was given another subnet since: the container keeps what it has until it is started again.
                    tracing::warn!(%error, container = record.container_name, "a container's address is not its network's");
                }
                live.users.insert(record.container.clone());
            }
        }
        books.unadopted.insert(record.container.clone(), record);
    }
    Ok(books)
}
