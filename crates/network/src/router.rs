//! The router namespace: the detached network namespace that holds all bridges, with one link to the outside.
//!
//! ```text
//!   containers            router namespace                       host's namespace
//!   eth0 ── veth… ─┐
//!   eth0 ── veth… ─┴─ docker0 ──┐
//!                               ├── routing ── lichen0 ───────── netd: the first packet of each flow
//!                               │         or ─ tap0 ──────────── slirp4netns, pasta
//!   eth0 ── veth… ─── br-… ─────┘      └────── sockets made by netd ─── netd's listeners
//! ```
//!
//! # Routing rules, by priority
//! * 0 `local`, the kernel's own: the gateways' addresses.
//! * 100 `fwmark 1 lookup 100`: packets of the forwarder's transparent sockets, whatever they are addressed to, are
//!   delivered here (table 100 is `local default dev lo`). The mark is set by [`crate::netlink::nft`].
//! * 150, 160 `iif lichen0 lookup main suppress_prefixlength 0`, then `blackhole`: what the forwarder writes into its
//!   tun goes to a bridge or nowhere, and not round.
//! * 200 `iif BRIDGE lookup 200`: what comes from a bridge does not get to another bridge's subnet; table 200 holds a
//!   `prohibit` for each. Locally made packets, such as netd's, have no input bridge.
//! * 210 `iif BRIDGE prohibit`: nothing else leaves an internal network either.
//! * 32766 `main`: the bridges' subnets, and the default route that the outward driver makes.

use crate::{
    config::OutwardConfig,
    congestion,
    error::{Error, Result},
    lead::{self, Filtering},
    mac::MacAddr,
    netlink::{
        Change, Netlink, link,
        route::{self, Family, Rule, Then, Via},
    },
    netns,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustix::io::Errno;
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The link to the outside of the drivers that are programs of their own.
pub(crate) const OUTWARD_INTERFACE: &str = "tap0";

pub(crate) const RETURNING_MARK: u32 = 1;
const TABLE_RETURNING: u32 = 100;
const TABLE_BRIDGES: u32 = 200;

/// The loopback interface is the first of every network namespace (`include/net/flow.h`, `LOOPBACK_IFINDEX`).
const LOOPBACK_INDEX: u32 = 1;

/// A bridge that is to exist.
#[derive(Debug, Clone)]
pub(crate) struct BridgePlan {
    pub name: String,
    pub mtu: u32,
    /// Gateway addresses with the prefix of their subnets.
    pub addresses: Vec<IpNet>,
    /// What is behind it, also where it has no address itself.
    pub subnets: Vec<IpNet>,
    pub outward: bool,
    /// It has no ports and is only a parent of macvlan or ipvlan interfaces.
    pub is_parent: bool,
}

/// The router namespace and ways to change it.
pub(crate) struct Router {
    /// Where it was found: valid for other processes too.
    pub(crate) path: PathBuf,
    namespace: OwnedFd,
    inode: u64,
    /// Idle sockets in the namespace; one more is opened when all are in use.
    idle: Mutex<Vec<Netlink>>,
    /// Why source addresses cannot be kept and nothing goes out, where the kernel lacks nf_tables.
    pub(crate) without_nft: Option<String>,
    /// Why the forwarder cannot lead out, where it cannot.
    pub(crate) cannot_catch: Option<String>,
}

pub(crate) fn everywhere() -> [IpNet; 2] {
    let v4 = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix length");
    let v6 = Ipv6Net::new(Ipv6Addr::UNSPECIFIED, 0).expect("0 is a prefix length");
    [v4.into(), v6.into()]
}

pub(crate) fn family_of(net: &IpNet) -> Family {
    Family::of(net.addr())
}

impl Router {
    /// Joins the namespace at `path` and makes it forward. What an earlier engine did there is kept.
    ///
    /// `tproxy` is the name of the kernel's expression for the forwarder's way out; without one the kernel is taken to lack
    /// nf_tables.
    pub(crate) fn open(path: &Path, outward: &OutwardConfig, tproxy: Option<&'static str>) -> Result<Self> {
        let namespace = netns::open(path)?;
        let inode = netns::inode(&namespace)?;
        let (netlink, filtering) = netns::inside(namespace.as_fd(), || {
            set_forwarding()?;
            // A bridge port needs no address, nor the multicast that announces one.
            netns::set_if_present("ipv6/conf/default/disable_ipv6", if outward.ipv6 { "0" } else { "1" })?;
            let mut netlink = Netlink::route_here()?;
            netlink.change(link::set_up("lo"))?;
            netlink.changes(&returning_route(LOOPBACK_INDEX))?;
            let filtering = match tproxy {
                Some(tproxy) => lead::install_filter(outward, tproxy),
                None => Ok(Filtering::none("not asked")),
            };
            Ok((netlink, filtering.unwrap_or_else(|error| Filtering::none(&error.to_string()))))
        })?;
        let Filtering { without_nft, cannot_catch } = filtering;
        let idle = Mutex::new(vec![netlink]);
        Ok(Self { path: path.to_owned(), namespace, inode, idle, without_nft, cannot_catch })
    }

    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    pub(crate) fn namespace(&self) -> &OwnedFd {
        &self.namespace
    }

    /// Lends a netlink socket of the router namespace.
    pub(crate) fn netlink<T>(&self, work: impl FnOnce(&mut Netlink) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut netlink = match idle {
            Some(netlink) => netlink,
            None => netns::inside(self.namespace.as_fd(), Netlink::route_here)?,
        };
        let result = work(&mut netlink);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(netlink);
        result
    }

    /// Makes a bridge, or takes over one of that name; returns its index.
    ///
    /// # Errors
    /// [`Error::NotABridge`] when another kind of interface has the name. One that was made here is removed again when it
    /// cannot be furnished; one that was there before may have containers on it.
    pub(crate) fn add_bridge(&self, plan: &BridgePlan) -> Result<u32> {
        let made = self.make_bridge(plan)?;
        self.furnish(plan).inspect_err(|_| {
            if !made {
                return;
            }
            // The first failure is the one to report; what could not be undone is found at the next start.
            if let Err(error) = self.delete_bridge(plan) {
                tracing::warn!(%error, bridge = plan.name, "cannot remove a half-made bridge");
            }
        })
    }

    /// False when there is an interface of that name.
    fn make_bridge(&self, plan: &BridgePlan) -> Result<bool> {
        let mac = (!plan.is_parent).then(MacAddr::random);
        let bridge = link::Bridge { name: &plan.name, mac, mtu: plan.mtu };
        match self.netlink(|netlink| netlink.change(link::add_bridge(&bridge))) {
            Err(Error::Netlink { source, .. })
                if source.raw_os_error() == Some(Errno::EXIST.raw_os_error()) =>
            {
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// Gives a bridge its addresses, routes and rules.
    fn furnish(&self, plan: &BridgePlan) -> Result<u32> {
        self.netlink(|netlink| {
            let found = netlink.link(&plan.name)?;
            if !found.is_bridge {
                return Err(Error::NotABridge { name: plan.name.clone() });
            }
            let index = found.index;
            if plan.addresses.iter().any(|address| address.addr().is_ipv6()) {
                let key = |name| format!("ipv6/conf/{}/{name}", plan.name);
                netns::inside(self.namespace.as_fd(), || {
                    // A bridge asks for no neighbour before its link-local address is known to be nobody else's
                    // (net/ipv6/ndisc.c, `ndisc_send_ns`), which takes a second or two; on it every address is ours to give.
                    netns::set(&key("accept_dad"), "0")?;
                    netns::set(&key("disable_ipv6"), "0")
                })?;
            }
            let mut changes: Vec<Change> =
                plan.addresses.iter().map(|address| route::add_address(index, *address)).collect();
            changes
                .extend(plan.subnets.iter().map(|net| route::add_route(TABLE_BRIDGES, *net, &Via::Prohibit)));
            changes.extend(rules(plan).iter().map(Rule::add));
            netlink.changes(&changes).map(|()| index)
        })
    }

    /// Forgets the subnets of bridges that are there no more: `subnets` are those of the others.
    pub(crate) fn forget_subnets_but(&self, subnets: &[IpNet]) -> Result<()> {
        self.netlink(|netlink| {
            let gone = netlink.prohibited(TABLE_BRIDGES)?.into_iter().filter(|net| !subnets.contains(net));
            let changes: Vec<Change> =
                gone.map(|net| route::delete_route(TABLE_BRIDGES, net, &Via::Prohibit)).collect();
            netlink.changes(&changes)
        })
    }

    /// Removes a bridge with its addresses, routes and rules.
    pub(crate) fn delete_bridge(&self, plan: &BridgePlan) -> Result<()> {
        self.netlink(|netlink| {
            let mut changes: Vec<Change> = rules(plan).iter().map(Rule::delete).collect();
            changes.extend(
                plan.subnets.iter().map(|net| route::delete_route(TABLE_BRIDGES, *net, &Via::Prohibit)),
            );
            changes.push(link::delete(&plan.name));
            netlink.changes(&changes)
        })
    }

    /// The index of the interface that a macvlan or ipvlan network is on.
    pub(crate) fn parent(&self, name: &str) -> Result<u32> {
        let links = self.netlink(Netlink::links)?;
        if let Some(found) = links.iter().find(|link| link.name == name) {
            return Ok(found.index);
        }
        let usable = links.iter().filter(|link| !link.is_veth && link.name != "lo");
        let there = usable.map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
        Err(Error::NoParent { parent: name.to_owned(), there })
    }

    /// Whether the outward driver's link and its default route are there.
    pub(crate) fn has_outward(&self) -> Result<bool> {
        self.netlink(|netlink| Ok(netlink.links()?.iter().any(|l| l.name == OUTWARD_INTERFACE)))
    }
}

fn rules(plan: &BridgePlan) -> Vec<Rule> {
    let mut families: Vec<Family> = Vec::new();
    for family in plan.subnets.iter().map(family_of) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    let input = Some(plan.name.clone());
    let rule = |family, priority, then| Rule { family, priority, input: input.clone(), mark: None, then };
    let mut rules = Vec::new();
    for family in families {
        rules.push(rule(family, 200, Then::Lookup(TABLE_BRIDGES)));
        if !plan.outward {
            rules.push(rule(family, 210, Then::Prohibit));
        }
    }
    rules
}

fn returning_route(loopback: u32) -> Vec<Change> {
    let rule = |family| Rule {
        family,
        priority: 100,
        input: None,
        mark: Some(RETURNING_MARK),
        then: Then::Lookup(TABLE_RETURNING),
    };
    let mut changes = Vec::new();
    for net in everywhere() {
        changes.push(route::add_route(TABLE_RETURNING, net, &Via::Local { interface: loopback }));
        changes.push(rule(family_of(&net)).add());
    }
    changes
}

/// Forwarding on; reverse-path checks off, because replies to transparent sockets come in by bridges that do not lead
/// to the address they answer (Documentation/networking/ip-sysctl.rst).
fn set_forwarding() -> Result<()> {
    netns::set("ipv4/ip_forward", "1")?;
    netns::set("ipv4/conf/all/rp_filter", "0")?;
    netns::set("ipv4/conf/default/rp_filter", "0")?;
    // Otherwise packets between containers of one bridge pass the netfilter hooks of IP as well, where nothing is done to
    // them (bridge-nf-call-iptables; the setting is there when the module br_netfilter is).
    netns::set_if_present("bridge/bridge-nf-call-iptables", "0")?;
    netns::set_if_present("bridge/bridge-nf-call-ip6tables", "0")?;
    // A transparent socket takes its client's port, which may be below 1024.
    netns::set_if_present("ipv4/ip_unprivileged_port_start", "0")?;
    netns::set_if_present("ipv6/conf/all/forwarding", "1")?;
    congestion::by_loss()
}
