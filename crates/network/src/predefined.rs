//! The networks that exist always: `bridge`, `host`, `none`.

use crate::{
    config::{AddressPool, DefaultBridge, DefaultBridgeV6},
    error::{Error, Result},
    ipam, options, pools,
    record::{Driver, Network, Pool},
};
use ipnet::{IpNet, Ipv4Net};
use model::{Id, Timestamp};
use std::{collections::BTreeMap, net::IpAddr};
use store::{Collection, Store};

/// The bridge of the network `bridge`.
const DEFAULT_BRIDGE: &str = "docker0";

/// Makes what is missing, and brings `bridge` in line with the daemon's options; their IDs last.
pub(crate) fn ensure(
    records: &Collection<Network>,
    bridge: &DefaultBridge,
    pools: &[AddressPool],
) -> Result<()> {
    let known: BTreeMap<String, Network> =
        records.list()?.into_iter().map(|(_, n)| (n.name.clone(), n)).collect();
    for (name, driver) in [("none", Driver::Null), ("host", Driver::Host)] {
        if !known.contains_key(name) {
            let network = empty(name, driver);
            records.put(network.id.as_str(), &network)?;
        }
    }
    let old = known.get("bridge");
    if !bridge.enabled {
        return match old {
            Some(network) => Ok(records.delete(network.id.as_str()).map(drop)?),
            None => Ok(()),
        };
    }
    let others = known.values().filter(|n| n.name != "bridge");
    let taken: Vec<(IpNet, String)> =
        others.flat_map(|n| n.pools.iter().map(|p| (p.subnet, n.name.clone()))).collect();
    let mut wanted = empty("bridge", Driver::Bridge);
    if let Some(old) = old {
        (wanted.id, wanted.created) = (old.id.clone(), old.created);
    }
    wanted.bridge = DEFAULT_BRIDGE.into();
    wanted.pools = vec![default_pool(bridge, old, &taken, pools)?];
    if let Some(v6) = &bridge.ipv6 {
        wanted.ipv6 = true;
        wanted.pools.push(default_pool_v6(v6, old, &taken, pools)?);
    }
    wanted.options = default_options(bridge);
    records.put(wanted.id.as_str(), &wanted)?;
    Ok(())
}

fn empty(name: &str, driver: Driver) -> Network {
    Network {
        id: Id::random(),
        name: name.into(),
        created: Timestamp::now(),
        driver,
        internal: false,
        attachable: false,
        ipv4: true,
        ipv6: false,
        pools: Vec::new(),
        ipam_options: BTreeMap::new(),
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        bridge: String::new(),
        config_only: false,
        config_from: String::new(),
        config_pools: Vec::new(),
    }
}

/// As `docker network inspect bridge` shows them.
fn default_options(bridge: &DefaultBridge) -> BTreeMap<String, String> {
    let host_ip = bridge.host_ip.map_or("0.0.0.0".to_owned(), |ip| ip.to_string());
    [
        (options::DEFAULT_BRIDGE, "true".to_owned()),
        (options::ICC, bridge.icc.to_string()),
        (options::MASQUERADE, "true".to_owned()),
        (options::HOST_IP, host_ip),
        (options::NAME, DEFAULT_BRIDGE.to_owned()),
        (options::MTU, bridge.mtu.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// `--bip` or, without it, the subnet it had before, or the first free one of the pools.
fn default_pool(
    bridge: &DefaultBridge,
    old: Option<&Network>,
    taken: &[(IpNet, String)],
    pools: &[AddressPool],
) -> Result<Pool> {
    let free = |net: &IpNet| taken.iter().find(|(other, _)| pools::overlap(other, net));
    let invalid = |text: String| Error::InvalidIpam(text);
    let subnet: IpNet = match bridge.bip {
        Some(bip) => IpNet::V4(bip).trunc(),
        None => match old.and_then(|n| n.pools.first()).map(|p| p.subnet).filter(|net| free(net).is_none()) {
            Some(kept) => kept,
            None => pools::choose(pools, false, &taken.iter().map(|(net, _)| *net).collect::<Vec<_>>())?,
        },
    };
    if let Some((_, with)) = free(&subnet) {
        return Err(Error::Overlap { subnet, with: with.clone() });
    }
    let ip_range = bridge.fixed_cidr.map(|range: Ipv4Net| IpNet::V4(range.trunc()));
    if let Some(range) = ip_range.filter(|range| !subnet.contains(range)) {
        return Err(invalid(format!("fixed-cidr {range} is not within the bridge's subnet {subnet}")));
    }
    let bip = bridge.bip.map(|bip| IpAddr::V4(bip.addr())).filter(|ip| *ip != subnet.network());
    let gateway = bip
        .or_else(|| ipam::default_gateway(subnet, None))
        .ok_or_else(|| invalid(format!("bip {subnet} has no room for containers")))?;
    if let Some(router) = bridge.default_gateway {
        return Err(Error::Unsupported {
            what: format!("default-gateway {router}"),
            why: "the bridge itself is the only way out of the router namespace",
        });
    }
    Ok(Pool { subnet, ip_range, gateway: Some(gateway), aux: BTreeMap::new() })
}

/// `--bip6`, or `--fixed-cidr-v6`, or the subnet it had before, or the first free one of the pools.
fn default_pool_v6(
    bridge: &DefaultBridgeV6,
    old: Option<&Network>,
    taken: &[(IpNet, String)],
    pools: &[AddressPool],
) -> Result<Pool> {
    let overlapping = |net: &IpNet| taken.iter().find(|(other, _)| pools::overlap(other, net));
    let before = old.into_iter().flat_map(|network| &network.pools).map(|pool| pool.subnet);
    let mut kept = before.filter(|subnet| subnet.addr().is_ipv6() && overlapping(subnet).is_none());
    let subnet = match bridge.bip.or(bridge.fixed_cidr) {
        Some(asked) => IpNet::V6(asked).trunc(),
        None => match kept.next() {
            Some(kept) => kept,
            None => pools::choose(pools, true, &taken.iter().map(|(net, _)| *net).collect::<Vec<_>>())?,
        },
    };
    if let Some((_, with)) = overlapping(&subnet) {
        return Err(Error::Overlap { subnet, with: with.clone() });
    }
    let ip_range = bridge.bip.and(bridge.fixed_cidr).map(|range| IpNet::V6(range).trunc());
    if let Some(range) = ip_range.filter(|range| !subnet.contains(range)) {
        let text = format!("fixed-cidr-v6 {range} is not within the bridge's subnet {subnet}");
        return Err(Error::InvalidIpam(text));
    }
    let own = bridge.bip.map(|bip| IpAddr::V6(bip.addr())).filter(|ip| *ip != subnet.network());
    let gateway = own
        .or_else(|| ipam::default_gateway(subnet, None))
        .ok_or_else(|| Error::InvalidIpam(format!("bip6 {subnet} has no room for containers")))?;
    Ok(Pool { subnet, ip_range, gateway: Some(gateway), aux: BTreeMap::new() })
}

/// The engine's own prefix of unique local addresses, made once.
pub(crate) fn unique_local_pool(store: &Store) -> Result<AddressPool> {
    let seeds: Collection<[u8; 5]> = store.collection("network-prefix");
    let seed = match seeds.get("ula")? {
        Some(seed) => seed,
        None => {
            let seed: [u8; 5] = rand::random();
            seeds.put("ula", &seed)?;
            seed
        }
    };
    Ok(pools::unique_local(seed))
}
