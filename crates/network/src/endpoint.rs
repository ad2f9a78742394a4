//! From a wish to be on a network to an endpoint with addresses, and back.

use crate::{
    books::{Books, Live},
    configuration,
    error::{Error, Result},
    names, options,
    plumbing::{self, Port},
    record::{Driver, Endpoint, Network},
    request::EndpointRequest,
};
use model::Id;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Whose endpoint it is.
pub(crate) struct Owner<'a> {
    pub container: &'a Id,
    pub name: &'a str,
    pub hostname: &'a str,
}

/// Checks what can be checked without taking anything.
pub(crate) fn check(network: &Network, request: &EndpointRequest) -> Result<()> {
    if network.config_only {
        return Err(configuration::Refusal::Endpoint.into());
    }
    match network.driver {
        Driver::Ipvlan if request.mac.is_some() => return Err(Error::IpvlanMac),
        Driver::Bridge | Driver::Macvlan | Driver::Ipvlan => {}
        Driver::Host => {
            return Err(Error::ModeConflict { operation: "connecting to a network", mode: "host" });
        }
        Driver::Null => {
            return Err(Error::ModeConflict { operation: "connecting to a network", mode: "none" });
        }
    }
    let wants_static = request.ipv4.is_some() || request.ipv6.is_some();
    if wants_static && network.is_predefined() {
        return Err(Error::StaticOnDefault);
    }
    if !request.aliases.is_empty() && network.is_predefined() {
        return Err(Error::AliasesOnDefault);
    }
    let outside = |what: &str| {
        Err(Error::InvalidEndpoint(format!("no configured subnet or ip-range contain the IP address {what}")))
    };
    let wanted = request.ipv4.map(IpAddr::V4).into_iter().chain(request.ipv6.map(IpAddr::V6));
    if let Some(address) = wanted.into_iter().find(|address| !network.contains(*address)) {
        return outside(&address.to_string());
    }
    if let Some(mac) = request.mac.filter(|mac| mac.is_multicast()) {
        return Err(Error::InvalidEndpoint(format!("the MAC address {mac} is a multicast address")));
    }
    options::endpoint_sysctls(&request.driver_options)?;
    options::endpoint_interface(&request.driver_options).map(drop)
}

/// Takes addresses and names for one endpoint. `interfaces` are the container's so far.
pub(crate) fn plan(
    books: &mut Books,
    owner: &Owner<'_>,
    request: &EndpointRequest,
    interfaces: &mut BTreeSet<String>,
) -> Result<(Endpoint, Port)> {
    let id = books.find(&request.network)?.network.id.clone();
    let live =
        books.networks.get_mut(&id).ok_or_else(|| Error::NotFound { name: request.network.clone() })?;
    check(&live.network, request)?;
    let interface = match options::endpoint_interface(&request.driver_options)? {
        Some(name) if interfaces.contains(&name) => {
            let reason = format!("the interface name {name} is used twice in container {}", owner.name);
            return Err(Error::InvalidEndpoint(reason));
        }
        Some(name) => name,
        None => free_interface(&live.options.interface_prefix, interfaces),
    };
    let (ipv4, ipv6) = live.allocate(request)?;
    live.users.insert(owner.container.clone());
    interfaces.insert(interface.clone());
    let is_ipvlan = live.network.driver == Driver::Ipvlan;
    let on_link = live.leads_out() && live.lan.as_ref().is_some_and(|lan| lan.routes_on_link());
    let port = live.port();
    let endpoint = Endpoint {
        id: Id::random(),
        network: id,
        network_name: live.network.name.clone(),
        interface,
        host_interface: plumbing::host_interface(&port),
        mac: (!is_ipvlan).then(|| plumbing::mac(request.mac, ipv4)),
        ipv4,
        ipv6,
        link_local: request.link_local.clone(),
        on_link,
        gateway_v4: ipv4.filter(|_| !on_link).and_then(|net| gateway_v4(live, net.addr())),
        gateway_v6: ipv6.filter(|_| !on_link).and_then(|net| gateway_v6(live, net.addr())),
        aliases: request.aliases.clone(),
        links: request.links.clone(),
        dns_names: dns_names(owner, &live.network, request),
        driver_options: request.driver_options.clone(),
        gateway_priority: request.gateway_priority,
    };
    Ok((endpoint, port))
}

fn gateway_v4(live: &Live, address: Ipv4Addr) -> Option<Ipv4Addr> {
    match live.gateway(address.into())? {
        IpAddr::V4(gateway) => Some(gateway),
        IpAddr::V6(_) => None,
    }
}

fn gateway_v6(live: &Live, address: Ipv6Addr) -> Option<Ipv6Addr> {
    match live.gateway(address.into())? {
        IpAddr::V6(gateway) => Some(gateway),
        IpAddr::V4(_) => None,
    }
}

/// Gives back what [`plan`] took.
pub(crate) fn release(books: &mut Books, container: &Id, endpoint: &Endpoint) {
    if let Some(live) = books.networks.get_mut(&endpoint.network) {
        live.release(endpoint);
        live.users.remove(container);
    }
}

fn free_interface(prefix: &str, taken: &BTreeSet<String>) -> String {
    (0..).map(|n| format!("{prefix}{n}")).find(|name| !taken.contains(name)).expect("there are more numbers")
}

/// The container's name, its aliases, its short ID and its host name, in Docker's order and without repetition; none on the
/// network `bridge`, where names mean nothing.
fn dns_names(owner: &Owner<'_>, network: &Network, request: &EndpointRequest) -> Vec<String> {
    if !network.is_user_defined() {
        return Vec::new();
    }
    let all = [owner.name.to_owned()].into_iter().chain(request.aliases.iter().cloned());
    let own = [owner.container.short(), owner.hostname].into_iter().filter(|name| !name.is_empty());
    names::distinct(all.chain(own.map(str::to_owned)))
}
