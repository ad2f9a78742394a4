//! What is known at this moment: networks with their addresses, and sandboxes. One lock, never held over a system call
//! that may wait.

use crate::{
    error::{Error, Result},
    ipam::{Addresses, Refusal},
    options::BridgeOptions,
    plumbing::Port,
    record::{Driver, Endpoint, Network, SandboxRecord},
    request::EndpointRequest,
    router::BridgePlan,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::Id;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    os::fd::OwnedFd,
    sync::Arc,
};

#[derive(Default)]
pub(crate) struct Books {
    pub networks: BTreeMap<Id, Live>,
    pub sandboxes: BTreeMap<Id, LiveSandbox>,
    /// Records of an earlier engine that nobody has adopted yet; their addresses are taken.
    pub unadopted: BTreeMap<Id, SandboxRecord>,
}

/// A network in use.
pub(crate) struct Live {
    pub network: Network,
    pub options: BridgeOptions,
    /// One for each of the network's pools.
    addresses: Vec<Addresses>,
    /// Index of the bridge in the router namespace; 0 for `host` and `none`.
    pub bridge_index: u32,
    /// Containers that are on the network, or are being connected to it.
    pub users: BTreeSet<Id>,
}

/// A running container's network.
pub(crate) struct LiveSandbox {
    pub record: SandboxRecord,
    pub netns: Arc<OwnedFd>,
}

impl Live {
    pub(crate) fn new(network: Network, bridge_index: u32) -> Result<Self> {
        let options = BridgeOptions::parse(&network.options)?;
        let addresses = network.pools.iter().map(Addresses::new).collect();
        Ok(Self { network, options, addresses, bridge_index, users: BTreeSet::new() })
    }

    /// The bridge that the network is to have; none for `host` and `none`.
    pub(crate) fn bridge_plan(network: &Network, options: &BridgeOptions) -> Option<BridgePlan> {
        (network.driver == Driver::Bridge).then(|| BridgePlan {
            name: network.bridge.clone(),
            mtu: options.mtu,
            addresses: network
                .pools
                .iter()
                .filter_map(|pool| IpNet::new(pool.gateway, pool.subnet.prefix_len()).ok())
                .collect(),
            outward: !network.internal && options.masquerade,
        })
    }

    /// What the network's endpoints are attached to.
    pub(crate) fn port(&self) -> Port {
        Port { bridge: self.bridge_index, mtu: self.options.mtu, isolated: !self.options.icc }
    }

    pub(crate) fn plan(&self) -> Option<BridgePlan> {
        Self::bridge_plan(&self.network, &self.options)
    }

    fn take(&mut self, pool: usize, wanted: Option<IpAddr>) -> Result<IpAddr> {
        self.addresses[pool].take(wanted).map_err(|refusal| match refusal {
            Refusal::Exhausted => Error::NoAddress {
                network: self.network.name.clone(),
                id: self.network.id.to_string(),
                v6: self.network.pools[pool].subnet.addr().is_ipv6(),
            },
            Refusal::InUse(address) => Error::AddressInUse { address },
            Refusal::Outside(address) => Error::InvalidEndpoint(format!(
                "no configured subnet or ip-range contain the IP address {address}"
            )),
        })
    }

    /// Takes addresses for an endpoint: all that it needs, or none.
    pub(crate) fn allocate(
        &mut self,
        request: &EndpointRequest,
    ) -> Result<(Option<Ipv4Net>, Option<Ipv6Net>)> {
        let v4 = self.network.pool_v4().map(|(i, pool)| (i, pool.subnet.prefix_len()));
        let v6 = self.network.pool_v6().map(|(i, pool)| (i, pool.subnet.prefix_len()));
        let four = v4.map(|(i, _)| self.take(i, request.ipv4.map(IpAddr::V4))).transpose()?;
        let six = match v6.map(|(i, _)| self.take(i, request.ipv6.map(IpAddr::V6))).transpose() {
            Ok(six) => six,
            Err(error) => {
                four.into_iter().for_each(|address| self.release_address(address));
                return Err(error);
            }
        };
        Ok((
            four.zip(v4).and_then(|(ip, (_, prefix))| match ip {
                IpAddr::V4(ip) => Ipv4Net::new(ip, prefix).ok(),
                IpAddr::V6(_) => None,
            }),
            six.zip(v6).and_then(|(ip, (_, prefix))| match ip {
                IpAddr::V6(ip) => Ipv6Net::new(ip, prefix).ok(),
                IpAddr::V4(_) => None,
            }),
        ))
    }

    /// Takes the addresses that an endpoint has had all along.
    pub(crate) fn reclaim(&mut self, endpoint: &Endpoint) -> Result<()> {
        let request = EndpointRequest {
            ipv4: endpoint.ipv4.map(|net| net.addr()),
            ipv6: endpoint.ipv6.map(|net| net.addr()),
            ..Default::default()
        };
        self.allocate(&request).map(drop)
    }

    fn release_address(&mut self, address: IpAddr) {
        for (pool, addresses) in self.network.pools.iter().zip(&mut self.addresses) {
            if pool.subnet.contains(&address) {
                addresses.release(address);
            }
        }
    }

    /// Gives an endpoint's addresses back.
    pub(crate) fn release(&mut self, endpoint: &Endpoint) {
        endpoint.ipv4.into_iter().for_each(|net| self.release_address(net.addr().into()));
        endpoint.ipv6.into_iter().for_each(|net| self.release_address(net.addr().into()));
    }
}

impl Books {
    /// By name, full ID, or unambiguous prefix of one.
    pub(crate) fn find(&self, name: &str) -> Result<&Live> {
        let not_found = || Error::NotFound { name: name.to_owned() };
        if let Some(live) = self.networks.values().find(|n| n.network.name == name) {
            return Ok(live);
        }
        if name.is_empty() {
            return Err(not_found());
        }
        let mut matches = self.networks.values().filter(|n| n.network.id.as_str().starts_with(name));
        let first = matches.next().ok_or_else(not_found)?;
        match matches.count() {
            0 => Ok(first),
            more => Err(Error::Ambiguous { prefix: name.to_owned(), matches: more + 1 }),
        }
    }

    /// The containers on a network, with their endpoints on it.
    pub(crate) fn endpoints<'a>(
        &'a self,
        network: &'a Id,
    ) -> impl Iterator<Item = (&'a SandboxRecord, &'a Endpoint)> {
        self.sandboxes.values().flat_map(move |sandbox| {
            sandbox
                .record
                .endpoints
                .iter()
                .filter(move |e| e.network == *network)
                .map(|e| (&sandbox.record, e))
        })
    }
}
