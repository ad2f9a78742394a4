//! A container's network namespace: made, given interfaces, addresses and routes.

use crate::{
    congestion,
    error::{Error, Result},
    lan,
    mac::MacAddr,
    netlink::{
        Change, Netlink, link,
        route::{self, MAIN, Via},
    },
    netns, options,
    record::Endpoint,
    router::Router,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustix::io::Errno;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// A namespace with a netlink socket inside it.
pub(crate) struct Namespace {
    pub fd: OwnedFd,
    pub netlink: Netlink,
}

/// What an endpoint is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Port {
    /// The near end of its veth pair, to a bridge.
    Bridge {
        index: u32,
        mtu: u32,
        /// From the bridge's other isolated ports.
        isolated: bool,
    },
    /// Itself, to a parent interface of the router namespace.
    Lan { parent: String, kind: lan::Kind },
}

/// A new namespace with its loopback up and Docker's settings. `ends_near`: its TCP connections end in the router namespace.
pub(crate) fn new_namespace(ends_near: bool) -> Result<Namespace> {
    let (fd, netlink) = netns::create(|| {
        if ends_near {
            congestion::by_loss()?;
        }
        // Docker's defaults for a container of its own namespace (moby `daemon/oci_linux.go`).
        netns::set_if_present("ipv4/ip_unprivileged_port_start", "0")?;
        netns::set_if_present("ipv4/ping_group_range", &ping_group_range())?;
        // Interfaces without an IPv6 subnet have no IPv6 at all; those with one turn it on again.
        netns::set_if_present("ipv6/conf/default/disable_ipv6", "1")?;
        let mut netlink = Netlink::route_here()?;
        netlink.change(link::set_up("lo"))?;
        Ok(netlink)
    })?;
    Ok(Namespace { fd, netlink })
}

/// Takes hold of a namespace that exists.
pub(crate) fn existing(fd: OwnedFd) -> Result<Namespace> {
    let netlink = netns::inside(fd.as_fd(), Netlink::route_here)?;
    Ok(Namespace { fd, netlink })
}

/// Every group that exists in this user namespace: the kernel refuses a range that ends beyond
/// (`ipv4_ping_group_range`, make_kgid).
fn ping_group_range() -> String {
    let map = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    let end = |line: &str| {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (inside, _, count) = (fields.next()?.ok()?, fields.next()?, fields.next()?.ok()?);
        Some((inside, inside + count - 1))
    };
    let mut ranges: Vec<(u64, u64)> = map.lines().filter_map(end).collect();
    ranges.sort_unstable();
    let mut last = 0;
    for (first, end) in ranges {
        if first <= last + 1 {
            last = last.max(end);
        }
    }
    format!("0 {}", last.min(i32::MAX as u64))
}

/// Makes an interface in the namespace, still down: the far end of a pair, or one on a parent.
pub(crate) fn make_interface(
    router: &Router,
    namespace: &Namespace,
    host_interface: &str,
    interface: &str,
    mac: MacAddr,
    port: &Port,
) -> Result<()> {
    match port {
        Port::Bridge { index, mtu, isolated } => {
            let veth = link::Veth {
                name: host_interface,
                bridge: *index,
                mtu: *mtu,
                peer: interface,
                peer_mac: mac,
                peer_namespace: namespace.fd.as_fd(),
            };
            let mut changes = vec![link::add_veth(&veth)];
            if *isolated {
                changes.push(link::isolate_port(host_interface));
            }
            router.netlink(|netlink| netlink.changes(&changes))
        }
        Port::Lan { parent, kind } => {
            let parent = router.parent(parent)?;
            let namespace = namespace.fd.as_fd();
            let added = router.netlink(|netlink| {
                netlink.change(link::add_lan(&link::Lan { interface, parent, kind: *kind, namespace }))
            });
            added.map_err(|error| lacking(error, *kind))
        }
    }
}

/// The kernel says "not supported" about kinds of interfaces that it has no module for (rtnetlink.c, `__rtnl_newlink`).
fn lacking(error: Error, kind: lan::Kind) -> Error {
    match error {
        Error::Netlink { source, .. } if source.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
            let driver = match kind {
                lan::Kind::Macvlan(_) => "macvlan",
                lan::Kind::Ipvlan(..) => "ipvlan",
            };
            Error::NoKernelDriver { driver }
        }
        other => other,
    }
}

/// Makes an endpoint's interface, and configures it in the container.
pub(crate) fn plug(
    router: &Router,
    namespace: &mut Namespace,
    endpoint: &Endpoint,
    port: &Port,
) -> Result<()> {
    let mac = endpoint.mac.unwrap_or_else(MacAddr::random);
    make_interface(router, namespace, &endpoint.host_interface, &endpoint.interface, mac, port)?;
    configure(namespace, endpoint)
}

/// Brings an endpoint's interface up with its addresses.
pub(crate) fn configure(namespace: &mut Namespace, endpoint: &Endpoint) -> Result<()> {
    if addresses(endpoint).iter().any(|address| address.addr().is_ipv6()) {
        let key = format!("ipv6/conf/{}/disable_ipv6", endpoint.interface);
        netns::inside(namespace.fd.as_fd(), || netns::set(&key, "0"))?;
    }
    for sysctl in options::endpoint_sysctls(&endpoint.driver_options)? {
        let key = sysctl.key(&endpoint.interface);
        netns::inside(namespace.fd.as_fd(), || netns::set(&key, &sysctl.value))?;
    }
    let index = namespace.netlink.link(&endpoint.interface)?.index;
    let up = match endpoint.mac {
        Some(mac) => link::set_up_as(&endpoint.interface, mac),
        None => link::set_up(&endpoint.interface),
    };
    let mut changes = vec![up];
    changes.extend(addresses(endpoint).into_iter().map(|address| route::add_address(index, address)));
    namespace.netlink.changes(&changes)
}

/// Deletes an endpoint's interface.
pub(crate) fn unplug(router: &Router, namespace: &mut Namespace, endpoint: &Endpoint) -> Result<()> {
    if endpoint.is_bridged() {
        router.netlink(|netlink| netlink.change(link::delete(&endpoint.host_interface)))
    } else {
        namespace.netlink.change(link::delete(&endpoint.interface))
    }
}

/// Deletes the interfaces that are on a parent. They would go with their namespace, but that goes when it pleases, and
/// ipvlan refuses an address that another interface still has (`ipvlan_addr_busy`).
pub(crate) fn unplug_from_parents(netns: BorrowedFd<'_>, endpoints: &[Endpoint]) -> Result<()> {
    let mut ours = endpoints.iter().filter(|e| !e.is_bridged()).peekable();
    if ours.peek().is_none() {
        return Ok(());
    }
    let changes: Vec<Change> = ours.map(|e| link::delete(&e.interface)).collect();
    netns::inside(netns, || Netlink::route_here()?.changes(&changes))
}

/// Deletes many pairs at once: put into a group, they are unregistered together, with one grace period for all.
pub(crate) fn unplug_all<'a>(router: &Router, endpoints: impl Iterator<Item = &'a Endpoint>) -> Result<()> {
    let bridged = endpoints.filter(|e| e.is_bridged());
    let mut changes: Vec<Change> = bridged.map(|e| link::set_group(&e.host_interface, DYING)).collect();
    if changes.is_empty() {
        return Ok(());
    }
    changes.push(link::delete_group(DYING));
    router.netlink(|netlink| netlink.changes(&changes))
}

/// The group of interfaces about to be deleted; the kernel's default group is 0.
const DYING: u32 = 0x6479;

fn addresses(endpoint: &Endpoint) -> Vec<IpNet> {
    // The prefixes are libnetwork's.
    let link_local = |ip: &IpAddr| IpNet::new(*ip, if ip.is_ipv4() { 16 } else { 64 });
    let given = endpoint.ipv4.map(IpNet::V4).into_iter().chain(endpoint.ipv6.map(IpNet::V6));
    given.chain(endpoint.link_local.iter().filter_map(|ip| link_local(ip).ok())).collect()
}

/// The endpoints that hold the default routes, for IPv4 and IPv6: of those with a gateway the one with the highest
/// priority, and among equals the one whose network's name comes first (`docker network connect --gw-priority`).
pub(crate) fn gateways(endpoints: &[Endpoint]) -> (Option<&Endpoint>, Option<&Endpoint>) {
    let best = |has: fn(&Endpoint) -> bool| {
        endpoints.iter().filter(|e| has(e)).min_by(|a, b| {
            (-a.gateway_priority, &a.network_name).cmp(&(-b.gateway_priority, &b.network_name))
        })
    };
    (best(Endpoint::leads_out_v4), best(Endpoint::leads_out_v6))
}

/// Replaces the default routes by those that `endpoints` ask for.
pub(crate) fn set_default_routes(
    namespace: &mut Namespace,
    before: &[Endpoint],
    endpoints: &[Endpoint],
) -> Result<()> {
    let (old, new) = (default_routes(before), default_routes(endpoints));
    let mut changes: Vec<Change> = Vec::new();
    for route in old.iter().filter(|r| !new.contains(r)) {
        // Its interface may be gone already, and the route with it.
        if let Ok(found) = namespace.netlink.link(&route.interface) {
            changes.push(route::delete_route(MAIN, everywhere(route.v6), &route.via(found.index)));
        }
    }
    for route in new.iter().filter(|r| !old.contains(r)) {
        let index = namespace.netlink.link(&route.interface)?.index;
        changes.push(route::add_route(MAIN, everywhere(route.v6), &route.via(index)));
    }
    namespace.netlink.changes(&changes)
}

/// A default route; without a gateway everything is on the link.
#[derive(PartialEq, Eq)]
struct DefaultRoute {
    interface: String,
    v6: bool,
    gateway: Option<IpAddr>,
}

impl DefaultRoute {
    fn via(&self, interface: u32) -> Via {
        match self.gateway {
            Some(address) => Via::Gateway { address, interface },
            None => Via::Link { interface },
        }
    }
}

fn default_routes(endpoints: &[Endpoint]) -> Vec<DefaultRoute> {
    let (v4, v6) = gateways(endpoints);
    let route = |e: &Endpoint, v6, gateway| DefaultRoute { interface: e.interface.clone(), v6, gateway };
    let v4 = v4.map(|e| route(e, false, e.gateway_v4.map(IpAddr::V4)));
    let v6 = v6.map(|e| route(e, true, e.gateway_v6.map(IpAddr::V6)));
    v4.into_iter().chain(v6).collect()
}

fn everywhere(v6: bool) -> IpNet {
    match v6 {
        false => Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix length").into(),
        true => Ipv6Net::new(Ipv6Addr::UNSPECIFIED, 0).expect("0 is a prefix length").into(),
    }
}

/// A name for the near end of a pair: `veth` and seven hexadecimal digits, as Docker's are. None where there is no pair.
pub(crate) fn host_interface(port: &Port) -> String {
    match port {
        Port::Bridge { .. } => format!("veth{:07x}", rand::random::<u32>() & 0x0fff_ffff),
        Port::Lan { .. } => String::new(),
    }
}

/// Whether the name is one that [`host_interface`] may have given.
pub(crate) fn is_host_interface(name: &str) -> bool {
    let lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix("veth").is_some_and(|digits| digits.len() == 7 && digits.bytes().all(lower))
}

/// The MAC that was asked for, or that of the address, or a random one.
pub(crate) fn mac(wanted: Option<MacAddr>, ipv4: Option<Ipv4Net>) -> MacAddr {
    wanted.or_else(|| ipv4.map(|net| MacAddr::of(net.addr()))).unwrap_or_else(MacAddr::random)
}
