//! Names on user-defined networks: what the forwarder's resolvers are told (see [`netd::proto::Resolver`]).

use crate::{
    error::Result,
    names,
    networks::Networks,
    record::{Endpoint, SandboxRecord},
};
use netd::proto::{Names, Resolver, Upstream};
use std::{collections::BTreeMap, net::IpAddr, os::fd::OwnedFd, sync::Arc};

impl Networks {
    /// Makes a container findable on its user-defined networks, and lets it find others; or, after a change of its
    /// networks or name, brings that up to date. (What it has left is for [`Networks::silence_left`].)
    pub(crate) fn announce(&self, record: &SandboxRecord, netns: &Arc<OwnedFd>) -> Result<()> {
        if !self.has_resolvers() {
            return Ok(());
        }
        let found_by: Vec<Names> = record.endpoints.iter().filter_map(names_of).collect();
        let Some(resolver) = resolver(record, &found_by, self.outward.resolver()) else { return Ok(()) };
        self.forwarder.name(found_by)?;
        self.forwarder.resolve(resolver, netns)
    }

    /// Whether there can be a resolver at 127.0.0.11: port 53 is led to it by nf_tables.
    pub(crate) fn has_resolvers(&self) -> bool {
        self.router.without_nft.is_none()
    }

    /// Takes endpoints' names back.
    pub(crate) fn silence(&self, endpoints: &[Endpoint]) -> Result<()> {
        let named = endpoints.iter().filter(|e| !is_unnamed(e));
        Ok(self.forwarder.unname(named.map(|e| e.id.clone()).collect())?)
    }

    /// Takes the names of an endpoint back that is its container's no longer, and the container's resolver where it was
    /// the last one with names: also one that this engine has not started, for its predecessor may have.
    pub(crate) fn silence_left(&self, left: &Endpoint, after: &SandboxRecord) -> Result<()> {
        let silenced = self.silence(std::slice::from_ref(left));
        if is_unnamed(left) || !after.endpoints.iter().all(is_unnamed) {
            return silenced;
        }
        let deafened = self.forwarder.unresolve(&after.container);
        silenced.and(Ok(deafened?))
    }

    /// Ends a container's resolver, whose sockets keep its namespace alive.
    pub(crate) fn deafen(&self, record: &SandboxRecord) -> Result<()> {
        // Its engine may have died while it connected it.
        let endpoints: Vec<Endpoint> = record.endpoints.iter().chain(&record.changing).cloned().collect();
        if endpoints.iter().all(is_unnamed) {
            return Ok(());
        }
        self.silence(&endpoints)?;
        Ok(self.forwarder.unresolve(&record.container)?)
    }
}

fn is_unnamed(endpoint: &Endpoint) -> bool {
    endpoint.dns_names.is_empty()
}

fn names_of(endpoint: &Endpoint) -> Option<Names> {
    let v4 = endpoint.ipv4.map(|net| IpAddr::V4(net.addr()));
    let v6 = endpoint.ipv6.map(|net| IpAddr::V6(net.addr()));
    (!is_unnamed(endpoint)).then(|| Names {
        endpoint: endpoint.id.clone(),
        network: endpoint.network.clone(),
        network_name: endpoint.network_name.clone(),
        names: endpoint.dns_names.clone(),
        addresses: v4.into_iter().chain(v6).collect(),
    })
}

/// None for a container that is on no user-defined network.
fn resolver(record: &SandboxRecord, found_by: &[Names], outward: Option<IpAddr>) -> Option<Resolver> {
    if found_by.is_empty() {
        return None;
    }
    let links = record.endpoints.iter().flat_map(|e| &e.links).map(|link| {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        (alias.to_ascii_lowercase(), target.trim_start_matches('/').to_ascii_lowercase())
    });
    Some(Resolver {
        container: record.container.clone(),
        networks: found_by.iter().map(|names| names.network.clone()).collect(),
        links: links.collect::<BTreeMap<_, _>>(),
        upstream: upstream(record, outward),
        host_servers: leads_out(record) && record.dns_servers.is_empty(),
        ndots_chosen: record.ndots_chosen || names::ResolvConf::parse(&names::own_file()).chooses_ndots(),
    })
}

/// Whether what a container asks may leave its networks: not when they are all internal (CVE-2024-29018).
fn leads_out(record: &SandboxRecord) -> bool {
    record.endpoints.iter().any(|e| e.leads_out_v4() || e.leads_out_v6())
}

/// Whom to ask about the world besides the host's servers: those the container was given, or the outward driver's own.
fn upstream(record: &SandboxRecord, outward: Option<IpAddr>) -> Vec<Upstream> {
    if !leads_out(record) {
        return Vec::new();
    }
    let given = record.dns_servers.iter().copied();
    let servers: Vec<IpAddr> =
        if record.dns_servers.is_empty() { outward.into_iter().collect() } else { given.collect() };
    servers.into_iter().map(|address| Upstream { address, from_host: false }).collect()
}
