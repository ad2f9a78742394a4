//! What is known at this moment: networks with their addresses, and sandboxes. One lock, never held over a system call
//! that may wait.

use crate::{
    error::{Error, Result},
    ipam::{Addresses, Refusal},
    lan,
    options::BridgeOptions,
    plumbing::Port,
    record::{Driver, Endpoint, Network, Pool, SandboxRecord},
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
    /// Networks that are being made or removed: nobody can use them, nor have their names, subnets and bridges.
    pub reserved: BTreeMap<Id, Network>,
    /// Records of an earlier engine that nobody has adopted yet; their addresses are taken.
    pub unadopted: BTreeMap<Id, SandboxRecord>,
}

/// A network in use.
pub(crate) struct Live {
    pub network: Network,
    pub options: BridgeOptions,
    /// For macvlan and ipvlan only.
    pub lan: Option<lan::Options>,
    /// One for each of the network's pools.
    addresses: Vec<Addresses>,
    /// What endpoints have and did not take here: their containers ran on while the network was given other subnets.
    foreign: BTreeSet<(Id, IpAddr)>,
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
        let lan = lan::Options::parse(network.driver, &network.options)?;
        let addresses = network.pools.iter().map(Addresses::new).collect();
        let (foreign, users) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { network, options, lan, addresses, foreign, bridge_index, users })
    }

    /// The bridge that the network is to have; none for `host`, `none`, and networks on a parent that is there anyway.
    pub(crate) fn plan(&self) -> Option<BridgePlan> {
        let (network, options) = (&self.network, &self.options);
        if let Some(lan) = &self.lan {
            return lan::parent_plan(network, lan);
        }
        let isolated = |gateway: &IpAddr| match gateway {
            IpAddr::V4(_) => options.isolated.v4,
            IpAddr::V6(_) => options.isolated.v6,
        };
        let address = |pool: &Pool| {
            let gateway = pool.gateway.filter(|gateway| !isolated(gateway))?;
            IpNet::new(gateway, pool.subnet.prefix_len()).ok()
        };
        (network.driver == Driver::Bridge).then(|| BridgePlan {
            name: network.bridge.clone(),
            mtu: options.mtu,
            addresses: network.pools.iter().filter_map(address).collect(),
            subnets: network.pools.iter().map(|pool| pool.subnet).collect(),
            outward: !network.internal && options.masquerade,
            is_parent: false,
        })
    }

    /// What the network's endpoints are attached to.
    pub(crate) fn port(&self) -> Port {
        match &self.lan {
            Some(lan) => Port::Lan { parent: self.network.bridge.clone(), kind: lan.kind },
            None => {
                Port::Bridge { index: self.bridge_index, mtu: self.options.mtu, isolated: !self.options.icc }
            }
        }
    }

    /// Whether endpoints have a way out of the network.
    pub(crate) fn leads_out(&self) -> bool {
        !self.network.internal && self.lan.as_ref().is_none_or(|lan| lan.parent.is_some())
    }

    /// The gateway of the subnet that `address` is in.
    pub(crate) fn gateway(&self, address: IpAddr) -> Option<IpAddr> {
        let pool = self.network.pools.iter().find(|pool| pool.subnet.contains(&address))?;
        pool.gateway.filter(|_| self.leads_out())
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
        let four = self.take_of(false, request.ipv4.map(IpAddr::V4))?;
        let six = match self.take_of(true, request.ipv6.map(IpAddr::V6)) {
            Ok(six) => six,
            Err(error) => {
                four.into_iter().for_each(|net| self.release_address(net.addr()));
                return Err(error);
            }
        };
        let v4 = four.and_then(|net| if let IpNet::V4(net) = net { Some(net) } else { None });
        let v6 = six.and_then(|net| if let IpNet::V6(net) = net { Some(net) } else { None });
        Ok((v4, v6))
    }

    /// An address of one family: from the subnet that has the wanted one, or from the first that has any left. None
    /// when the network has no subnet of that family.
    fn take_of(&mut self, v6: bool, wanted: Option<IpAddr>) -> Result<Option<IpNet>> {
        let pools = self.network.pools.iter().enumerate();
        let family: Vec<(usize, IpNet)> =
            pools.map(|(i, p)| (i, p.subnet)).filter(|(_, net)| net.addr().is_ipv6() == v6).collect();
        let holds = |(_, net): &&(usize, IpNet)| wanted.is_none_or(|address| net.contains(&address));
        let mut fitting: Vec<(usize, IpNet)> = family.iter().filter(holds).copied().collect();
        if fitting.is_empty() {
            // The first one says why it cannot be had.
            fitting.extend(family.first());
        }
        let mut refusal = None;
        for (index, net) in fitting {
            match self.take(index, wanted) {
                Ok(address) => return Ok(IpNet::new(address, net.prefix_len()).ok()),
                Err(error) => refusal = Some(error),
            }
        }
        refusal.map_or(Ok(None), Err)
    }

    /// Takes the addresses that an endpoint has had all along, each by itself: it uses the one although the other is not
    /// the network's any longer. Returns why those that could not be taken could not.
    pub(crate) fn reclaim(&mut self, endpoint: &Endpoint) -> Vec<Error> {
        let mut errors = Vec::new();
        for address in addresses(endpoint) {
            let taken = self.take_of(address.is_ipv6(), Some(address));
            if !matches!(taken, Ok(Some(_))) {
                self.foreign.insert((endpoint.id.clone(), address));
            }
            errors.extend(taken.err());
        }
        errors
    }

    fn release_address(&mut self, address: IpAddr) {
        for (pool, addresses) in self.network.pools.iter().zip(&mut self.addresses) {
            if pool.subnet.contains(&address) {
                addresses.release(address);
            }
        }
    }

    /// Gives an endpoint's addresses back. One that it did not take is another's, or the gateway's.
    pub(crate) fn release(&mut self, endpoint: &Endpoint) {
        for address in addresses(endpoint) {
            if !self.foreign.remove(&(endpoint.id.clone(), address)) {
                self.release_address(address);
            }
        }
    }
}

fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> + use<> {
    let v4 = endpoint.ipv4.map(|net| net.addr().into());
    v4.into_iter().chain(endpoint.ipv6.map(|net| net.addr().into()))
}

impl Books {
    /// All networks, also those that are being made or removed.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Network> {
        self.networks.values().map(|live| &live.network).chain(self.reserved.values())
    }

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
