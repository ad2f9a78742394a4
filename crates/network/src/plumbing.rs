//! A container's network namespace: made, given interfaces, addresses and routes.

use crate::{
    error::Result,
    mac::MacAddr,
    netlink::{
        Change, Netlink, link,
        route::{self, MAIN, Via},
    },
    netns,
    record::Endpoint,
    router::Router,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, OwnedFd},
};

/// A namespace with a netlink socket inside it.
pub(crate) struct Namespace {
    pub fd: OwnedFd,
    pub netlink: Netlink,
}

/// What the near end of an endpoint's veth pair is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port {
    pub bridge: u32,
    pub mtu: u32,
    pub isolated: bool,
}

/// A new namespace with its loopback up and Docker's settings.
pub(crate) fn new_namespace() -> Result<Namespace> {
    let (fd, netlink) = netns::create(|| {
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

/// Makes a pair with its far end, `interface`, in the namespace; that end is still down.
pub(crate) fn make_pair(
    router: &Router,
    namespace: &Namespace,
    host_interface: &str,
    interface: &str,
    mac: MacAddr,
    port: &Port,
) -> Result<()> {
    let veth = link::Veth {
        name: host_interface,
        bridge: port.bridge,
        mtu: port.mtu,
        peer: interface,
        peer_mac: mac,
        peer_namespace: namespace.fd.as_fd(),
    };
    let mut changes = vec![link::add_veth(&veth)];
    if port.isolated {
        changes.push(link::isolate_port(host_interface));
    }
    router.netlink(|netlink| netlink.changes(&changes))
}

/// Makes an endpoint's pair, and configures its end in the container.
pub(crate) fn plug(
    router: &Router,
    namespace: &mut Namespace,
    endpoint: &Endpoint,
    port: &Port,
) -> Result<()> {
    make_pair(router, namespace, &endpoint.host_interface, &endpoint.interface, endpoint.mac, port)?;
    configure(namespace, endpoint)
}

/// Brings an endpoint's interface up with its addresses.
pub(crate) fn configure(namespace: &mut Namespace, endpoint: &Endpoint) -> Result<()> {
    if endpoint.ipv6.is_some() {
        let key = format!("ipv6/conf/{}/disable_ipv6", endpoint.interface);
        netns::inside(namespace.fd.as_fd(), || netns::set(&key, "0"))?;
    }
    let index = namespace.netlink.link(&endpoint.interface)?.index;
    let mut changes = vec![link::set_up_as(&endpoint.interface, endpoint.mac)];
    changes.extend(addresses(endpoint).into_iter().map(|address| route::add_address(index, address)));
    namespace.netlink.changes(&changes)
}

/// Deletes the pair.
pub(crate) fn unplug(router: &Router, endpoint: &Endpoint) -> Result<()> {
    router.netlink(|netlink| netlink.change(link::delete(&endpoint.host_interface)))
}

/// Deletes many pairs at once: put into a group, they are unregistered together, with one grace period for all.
pub(crate) fn unplug_all<'a>(router: &Router, endpoints: impl Iterator<Item = &'a Endpoint>) -> Result<()> {
    let mut changes: Vec<Change> = endpoints.map(|e| link::set_group(&e.host_interface, DYING)).collect();
    changes.push(link::delete_group(DYING));
    router.netlink(|netlink| netlink.changes(&changes))
}

/// The group of interfaces about to be deleted; the kernel's default group is 0.
const DYING: u32 = 0x6479;

fn addresses(endpoint: &Endpoint) -> Vec<IpNet> {
    endpoint.ipv4.map(IpNet::V4).into_iter().chain(endpoint.ipv6.map(IpNet::V6)).collect()
}

/// The endpoints that hold the default routes, for IPv4 and IPv6: of those with a gateway the one with the highest
/// priority, and among equals the one whose network's name comes first (`docker network connect --gw-priority`).
pub(crate) fn gateways(endpoints: &[Endpoint]) -> (Option<&Endpoint>, Option<&Endpoint>) {
    let best = |has: fn(&Endpoint) -> bool| {
        endpoints.iter().filter(|e| has(e)).min_by(|a, b| {
            (-a.gateway_priority, &a.network_name).cmp(&(-b.gateway_priority, &b.network_name))
        })
    };
    (best(|e| e.gateway_v4.is_some()), best(|e| e.gateway_v6.is_some()))
}

/// Replaces the default routes by those that `endpoints` ask for.
pub(crate) fn set_default_routes(
    namespace: &mut Namespace,
    before: &[Endpoint],
    endpoints: &[Endpoint],
) -> Result<()> {
    let (old, new) = (default_routes(before), default_routes(endpoints));
    let mut changes: Vec<Change> = Vec::new();
    for (interface, gateway) in old.iter().filter(|r| !new.contains(r)) {
        // Its interface may be gone already, and the route with it.
        if let Ok(found) = namespace.netlink.link(interface) {
            changes.push(route::delete_route(MAIN, everywhere(*gateway), &via(*gateway, found.index)));
        }
    }
    for (interface, gateway) in new.iter().filter(|r| !old.contains(r)) {
        let index = namespace.netlink.link(interface)?.index;
        changes.push(route::add_route(MAIN, everywhere(*gateway), &via(*gateway, index)));
    }
    namespace.netlink.changes(&changes)
}

fn default_routes(endpoints: &[Endpoint]) -> Vec<(String, IpAddr)> {
    let (v4, v6) = gateways(endpoints);
    let v4 = v4.and_then(|e| Some((e.interface.clone(), IpAddr::V4(e.gateway_v4?))));
    let v6 = v6.and_then(|e| Some((e.interface.clone(), IpAddr::V6(e.gateway_v6?))));
    v4.into_iter().chain(v6).collect()
}

fn via(address: IpAddr, interface: u32) -> Via {
    Via::Gateway { address, interface }
}

fn everywhere(like: IpAddr) -> IpNet {
    match like {
        IpAddr::V4(_) => Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix length").into(),
        IpAddr::V6(_) => Ipv6Net::new(Ipv6Addr::UNSPECIFIED, 0).expect("0 is a prefix length").into(),
    }
}

/// A name for the near end of a pair: `veth` and seven hexadecimal digits, as Docker's are.
pub(crate) fn host_interface() -> String {
    format!("veth{:07x}", rand::random::<u32>() & 0x0fff_ffff)
}

/// The address that a container of this MAC asked for, or a random one.
pub(crate) fn mac(wanted: Option<MacAddr>) -> MacAddr {
    wanted.unwrap_or_else(MacAddr::random)
}
