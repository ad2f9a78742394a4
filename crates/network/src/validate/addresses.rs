//! The subnets of a network: those asked for, checked, and those left to choose.

use crate::{
    config::AddressPool,
    error::{Error, Result},
    ipam, pools,
    record::Pool,
    request::NewPool,
};
use ipnet::IpNet;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// What a network is to have.
pub(super) struct Wanted {
    pub v4: bool,
    pub v6: bool,
    /// A gateway in each subnet, whether one was named or not.
    pub gateways: bool,
}

/// Validates the pools asked for and adds one of each family that is wanted and has none.
pub(super) fn addresses(
    requested: &[NewPool],
    wanted: &Wanted,
    taken: &[(IpNet, String)],
    pools: &[AddressPool],
) -> Result<Vec<Pool>> {
    let mut found: Vec<Pool> = Vec::new();
    let mut complaints = Vec::new();
    for request in requested {
        match pool(request, wanted, taken, &found, pools) {
            Ok(Some(pool)) => found.push(pool),
            Ok(None) => {}
            Err(Complaint::Texts(texts)) => complaints.extend(texts),
            Err(Complaint::Error(error)) => return Err(error),
        }
    }
    if !complaints.is_empty() {
        return Err(Error::InvalidIpam(complaints.join("\n")));
    }
    for (family, six) in [(wanted.v4, false), (wanted.v6, true)] {
        if family && !found.iter().any(|p| p.subnet.addr().is_ipv6() == six) {
            found.push(default_pool(six, wanted, taken, &found, pools)?);
        }
    }
    found.sort_by_key(|p| p.subnet.addr().is_ipv6());
    Ok(found)
}

enum Complaint {
    Texts(Vec<String>),
    Error(Error),
}

fn pool(
    request: &NewPool,
    wanted: &Wanted,
    taken: &[(IpNet, String)],
    found: &[Pool],
    pools: &[AddressPool],
) -> Result<Option<Pool>, Complaint> {
    let mut texts = Vec::new();
    let subnet = if request.subnet.is_empty() {
        if !request.ip_range.is_empty() {
            return Err(Complaint::Texts(vec![format!(
                "invalid ip-range {}: no subnet is given",
                request.ip_range
            )]));
        }
        let six = request.gateway.contains(':');
        default_pool(six, wanted, taken, found, pools).map_err(Complaint::Error)?.subnet
    } else {
        parse_net("subnet", &request.subnet).map_err(|text| Complaint::Texts(vec![text]))?
    };
    // A pool of a family that is turned off is dropped, as moby does.
    if !(if subnet.addr().is_ipv4() { wanted.v4 } else { wanted.v6 }) {
        return Ok(None);
    }
    let ip_range = collect(&mut texts, range(&request.ip_range, subnet));
    let gateway = collect(&mut texts, member("gateway", &request.gateway, subnet));
    let mut aux = BTreeMap::new();
    for (name, address) in &request.aux {
        if let Some(address) = collect(&mut texts, member("auxiliary address", address, subnet)) {
            aux.insert(name.clone(), address);
        }
    }
    if !texts.is_empty() {
        return Err(Complaint::Texts(texts));
    }
    if let Some((_, with)) = taken.iter().find(|(other, _)| pools::overlap(other, &subnet)) {
        return Err(Complaint::Error(Error::Overlap { subnet, with: with.clone() }));
    }
    if found.iter().any(|other| pools::overlap(&other.subnet, &subnet)) {
        return Err(Complaint::Error(Error::Overlap { subnet, with: "itself".into() }));
    }
    let default = || ipam::default_gateway(subnet, ip_range);
    let gateway = gateway.or_else(|| wanted.gateways.then(default).flatten());
    if gateway.is_none() && wanted.gateways {
        let text = format!("invalid subnet {subnet}: it has no room for a gateway");
        return Err(Complaint::Texts(vec![text]));
    }
    taken_by_themselves(subnet, gateway, &aux).map_err(Complaint::Error)?;
    Ok(Some(Pool { subnet, ip_range, gateway, aux }))
}

/// The gateway and the auxiliary addresses are taken first, each once (libnetwork's `ipamAllocateVersion`).
fn taken_by_themselves(
    subnet: IpNet,
    gateway: Option<IpAddr>,
    aux: &BTreeMap<String, IpAddr>,
) -> Result<(), Error> {
    if let Some(address) = gateway.filter(|address| !ipam::is_usable(subnet, *address)) {
        return Err(Error::GatewayInUse { address });
    }
    let mut taken: BTreeSet<IpAddr> = gateway.into_iter().collect();
    for (name, address) in aux {
        if !ipam::is_usable(subnet, *address) || !taken.insert(*address) {
            return Err(Error::AuxiliaryInUse { name: name.clone(), address: *address });
        }
    }
    Ok(())
}

fn collect<T>(texts: &mut Vec<String>, result: Result<Option<T>, String>) -> Option<T> {
    result.unwrap_or_else(|text| {
        texts.push(text);
        None
    })
}

fn parse_net(what: &str, text: &str) -> Result<IpNet, String> {
    let net: IpNet =
        text.parse().map_err(|_| format!("invalid {what} {text}: invalid CIDR block notation"))?;
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(format!("invalid {what} {net}: it should be {}", net.trunc()))
    }
}

fn range(text: &str, subnet: IpNet) -> Result<Option<IpNet>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let range = parse_net("ip-range", text)?;
    same_family("ip-range", text, range.addr(), subnet)?;
    if range.prefix_len() < subnet.prefix_len() {
        return Err(format!(
            "invalid ip-range {range}: CIDR block is bigger than its parent subnet {subnet}"
        ));
    }
    if !subnet.contains(&range) {
        return Err(format!("invalid ip-range {range}: parent subnet {subnet} doesn't contain ip-range"));
    }
    Ok(Some(range))
}

fn member(what: &str, text: &str, subnet: IpNet) -> Result<Option<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let address: IpAddr = text.parse().map_err(|_| format!("invalid {what} {text}: invalid address"))?;
    same_family(what, text, address, subnet)?;
    if !subnet.contains(&address) {
        return Err(format!("invalid {what} {text}: parent subnet {subnet} doesn't contain this address"));
    }
    Ok(Some(address))
}

fn same_family(what: &str, text: &str, address: IpAddr, subnet: IpNet) -> Result<(), String> {
    if address.is_ipv4() == subnet.addr().is_ipv4() {
        return Ok(());
    }
    let version = if subnet.addr().is_ipv4() { 4 } else { 6 };
    Err(format!("invalid {what} {text}: parent subnet is an IPv{version} block"))
}

fn default_pool(
    v6: bool,
    wanted: &Wanted,
    taken: &[(IpNet, String)],
    found: &[Pool],
    pools: &[AddressPool],
) -> Result<Pool> {
    let taken: Vec<IpNet> = taken.iter().map(|(net, _)| *net).chain(found.iter().map(|p| p.subnet)).collect();
    let subnet = pools::choose(pools, v6, &taken)?;
    let gateway = wanted.gateways.then(|| ipam::default_gateway(subnet, None).ok_or(Error::PoolsExhausted));
    Ok(Pool { subnet, ip_range: None, gateway: gateway.transpose()?, aux: BTreeMap::new() })
}
