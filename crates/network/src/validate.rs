//! From the texts of a request to a [`Network`] that can be made. The words are moby's (`api/types/network/ipam.go`).

use crate::{
    config::AddressPool,
    error::{Error, Result},
    ipam, options,
    options::BridgeOptions,
    pools,
    record::{Driver, Network, Pool},
    request::{NewNetwork, NewPool},
};
use ipnet::IpNet;
use model::{Id, Timestamp};
use std::{collections::BTreeMap, net::IpAddr};

/// What other networks have, so that the new one does not.
pub(crate) struct Taken<'a> {
    pub names: &'a dyn Fn(&str) -> bool,
    pub subnets: &'a [(IpNet, String)],
    pub bridges: &'a dyn Fn(&str) -> bool,
}

/// Checks the whole request and chooses what it leaves open.
pub(crate) fn network(request: NewNetwork, taken: &Taken<'_>, pools: &[AddressPool]) -> Result<Network> {
    check_kind(&request)?;
    check_name(&request.name)?;
    if (taken.names)(&request.name) {
        return Err(Error::Exists { name: request.name });
    }
    let (v4, v6) = (request.enable_ipv4.unwrap_or(true), request.enable_ipv6.unwrap_or(false));
    if !v4 && !v6 {
        return Err(Error::InvalidIpam("IPv4 and IPv6 cannot both be disabled".into()));
    }
    let bridge_options = BridgeOptions::parse(&request.options)?;
    let id = Id::random();
    let bridge = bridge_options.bridge.unwrap_or_else(|| format!("br-{}", id.short()));
    if (taken.bridges)(&bridge) {
        return Err(Error::InvalidOption {
            key: options::NAME.into(),
            value: bridge,
            expected: "another network has a bridge of that name",
        });
    }
    let pools = addresses(&request.pools, v4, v6, taken.subnets, pools)?;
    Ok(Network {
        id,
        name: request.name,
        created: Timestamp::now(),
        driver: Driver::Bridge,
        internal: request.internal,
        attachable: request.attachable,
        ipv4: v4,
        ipv6: v6,
        pools,
        ipam_options: request.ipam_options,
        options: request.options,
        labels: request.labels,
        bridge,
    })
}

fn check_kind(request: &NewNetwork) -> Result<()> {
    let unsupported = |what: &str, why| Err(Error::Unsupported { what: what.to_owned(), why });
    match request.driver.as_str() {
        "" | "bridge" | "default" => {}
        "overlay" => return Err(Error::NotSwarm),
        "host" => return Err(Error::Single { driver: "host" }),
        "null" | "none" => return Err(Error::Single { driver: "null" }),
        "macvlan" | "ipvlan" => {
            return unsupported(
                &format!("network driver {}", request.driver),
                "an unprivileged user has no access to the host's interfaces",
            );
        }
        other => return Err(Error::UnknownDriver { driver: other.to_owned() }),
    }
    if request.ingress || !matches!(request.scope.as_str(), "" | "local") {
        return Err(Error::NotSwarm);
    }
    if request.config_only || request.config_from.as_ref().is_some_and(|c| !c.is_empty()) {
        return unsupported(
            "a network configuration (config-only, config-from)",
            "it serves swarm's networks only",
        );
    }
    match request.ipam_driver.as_str() {
        "" | "default" => Ok(()),
        other => Err(Error::UnknownIpamDriver { driver: other.to_owned() }),
    }
}

fn check_name(name: &str) -> Result<()> {
    let reason = if name.trim().is_empty() {
        "network names must not be empty"
    } else if matches!(name, "bridge" | "host" | "none" | "default" | "container")
        || name.starts_with("container:")
    {
        return Err(Error::Predefined { name: name.to_owned() });
    } else if name.contains(['/', '\\']) || name.chars().any(char::is_control) {
        "network names must not contain slashes or control characters"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.to_owned(), reason })
}

/// Validates the pools asked for and adds one of each family that is wanted and has none.
fn addresses(
    requested: &[NewPool],
    v4: bool,
    v6: bool,
    taken: &[(IpNet, String)],
    pools: &[AddressPool],
) -> Result<Vec<Pool>> {
    let mut found: Vec<Pool> = Vec::new();
    let mut complaints = Vec::new();
    for request in requested {
        match pool(request, v4, v6, taken, &found, pools) {
            Ok(Some(pool)) => found.push(pool),
            Ok(None) => {}
            Err(Complaint::Texts(texts)) => complaints.extend(texts),
            Err(Complaint::Error(error)) => return Err(error),
        }
    }
    if !complaints.is_empty() {
        return Err(Error::InvalidIpam(complaints.join("\n")));
    }
    for (wanted, six) in [(v4, false), (v6, true)] {
        if wanted && !found.iter().any(|p| p.subnet.addr().is_ipv6() == six) {
            found.push(default_pool(six, taken, &found, pools)?);
        }
    }
    for (index, pool) in found.iter().enumerate() {
        if found[..index].iter().any(|p| p.subnet.addr().is_ipv6() == pool.subnet.addr().is_ipv6()) {
            return Err(Error::Unsupported {
                what: "more than one subnet of a family in one network".into(),
                why: "a bridge has one gateway of each",
            });
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
    v4: bool,
    v6: bool,
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
        default_pool(six, taken, found, pools).map_err(Complaint::Error)?.subnet
    } else {
        parse_net("subnet", &request.subnet).map_err(|text| Complaint::Texts(vec![text]))?
    };
    // A pool of a family that is turned off is dropped, as moby does.
    if !(if subnet.addr().is_ipv4() { v4 } else { v6 }) {
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
    let gateway = gateway.or_else(|| ipam::default_gateway(subnet, ip_range)).ok_or_else(|| {
        Complaint::Texts(vec![format!("invalid subnet {subnet}: it has no room for a gateway")])
    })?;
    Ok(Some(Pool { subnet, ip_range, gateway, aux }))
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

fn default_pool(v6: bool, taken: &[(IpNet, String)], found: &[Pool], pools: &[AddressPool]) -> Result<Pool> {
    let taken: Vec<IpNet> = taken.iter().map(|(net, _)| *net).chain(found.iter().map(|p| p.subnet)).collect();
    let subnet = pools::choose(pools, v6, &taken)?;
    let gateway = ipam::default_gateway(subnet, None).ok_or(Error::PoolsExhausted)?;
    Ok(Pool { subnet, ip_range: None, gateway, aux: BTreeMap::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: NewNetwork) -> Result<Network> {
        let taken = Taken {
            names: &|name| name == "there",
            subnets: &[("172.17.0.0/16".parse().unwrap(), "bridge".into())],
            bridges: &|name| name == "docker0",
        };
        let mut pools = pools::docker_defaults();
        pools.push(pools::unique_local([1, 2, 3, 4, 5]));
        network(request, &taken, &pools)
    }

    fn with_pool(subnet: &str, range: &str, gateway: &str) -> NewNetwork {
        let pool = NewPool {
            subnet: subnet.into(),
            ip_range: range.into(),
            gateway: gateway.into(),
            aux: BTreeMap::new(),
        };
        NewNetwork { name: "n".into(), pools: vec![pool], ..Default::default() }
    }

    #[test]
    fn a_name_suffices() {
        let made = check(NewNetwork { name: "n".into(), ..Default::default() }).unwrap();
        assert_eq!(made.pools.len(), 1);
        assert_eq!(made.pools[0].subnet, "172.18.0.0/16".parse().unwrap());
        assert_eq!(made.pools[0].gateway, "172.18.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(made.bridge, format!("br-{}", made.id.short()));
    }

    #[test]
    fn ipv6_gets_a_unique_local_subnet() {
        let made =
            check(NewNetwork { name: "n".into(), enable_ipv6: Some(true), ..Default::default() }).unwrap();
        assert_eq!(made.pools[1].subnet, "fd01:203:405::/64".parse().unwrap());
    }

    #[test]
    fn texts_are_checked_in_dockers_words() {
        for (subnet, range, gateway, expected) in [
            ("10.1.2.3/24", "", "", "invalid subnet 10.1.2.3/24: it should be 10.1.2.0/24"),
            ("10.1.2.0", "", "", "invalid subnet 10.1.2.0: invalid CIDR block notation"),
            (
                "10.1.2.0/24",
                "10.1.0.0/16",
                "",
                "invalid ip-range 10.1.0.0/16: CIDR block is bigger than its parent subnet 10.1.2.0/24",
            ),
            (
                "10.1.2.0/24",
                "10.1.3.0/25",
                "",
                "invalid ip-range 10.1.3.0/25: parent subnet 10.1.2.0/24 doesn't contain ip-range",
            ),
            (
                "10.1.2.0/24",
                "",
                "10.1.3.1",
                "invalid gateway 10.1.3.1: parent subnet 10.1.2.0/24 doesn't contain this address",
            ),
            ("10.1.2.0/24", "", "fd00::1", "invalid gateway fd00::1: parent subnet is an IPv4 block"),
        ] {
            let error = check(with_pool(subnet, range, gateway)).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid network config:\n{expected}"));
            assert_eq!(error.kind(), model::ErrorKind::InvalidParameter);
        }
    }

    #[test]
    fn what_others_have_is_refused() {
        assert!(matches!(check(with_pool("172.17.8.0/24", "", "")), Err(Error::Overlap { .. })));
        let named = |name: &str| check(NewNetwork { name: name.into(), ..Default::default() });
        assert!(matches!(named("there"), Err(Error::Exists { .. })));
        assert!(matches!(named("host"), Err(Error::Predefined { .. })));
        assert!(matches!(named("a/b"), Err(Error::InvalidName { .. })));
        let driver = |driver: &str| {
            check(NewNetwork { name: "n".into(), driver: driver.into(), ..Default::default() })
        };
        assert!(matches!(driver("overlay"), Err(Error::NotSwarm)));
        assert!(matches!(driver("weave"), Err(Error::UnknownDriver { .. })));
        assert!(matches!(driver("macvlan"), Err(Error::Unsupported { .. })));
    }
}
