//! From the texts of a request to a [`Network`] that can be made. The words are moby's (`api/types/network/ipam.go`).

use crate::{
    config::AddressPool,
    configuration,
    error::{Error, Result},
    lan, options,
    options::BridgeOptions,
    record::{Driver, Network},
    request::NewNetwork,
    router::OUTWARD_INTERFACE,
};
use ipnet::IpNet;
use model::{Id, Timestamp};

mod addresses;

/// Interfaces of the router namespace that are no bridges, or may come to be there: the loopback and the ways out.
const RESERVED: [&str; 3] = ["lo", netd::outward::INTERFACE, OUTWARD_INTERFACE];

/// What other networks have, so that the new one does not.
pub(crate) struct Taken<'a> {
    pub names: &'a dyn Fn(&str) -> bool,
    pub subnets: &'a [(IpNet, String)],
    pub bridges: &'a dyn Fn(&str) -> bool,
    /// The network that has ipvlan interfaces on a parent: a parent has one ipvlan mode.
    pub parents: &'a dyn Fn(&str) -> Option<String>,
}

/// Checks the whole request and chooses what it leaves open.
pub(crate) fn network(request: NewNetwork, taken: &Taken<'_>, pools: &[AddressPool]) -> Result<Network> {
    if request.config_only {
        return configuration(request, taken, pools);
    }
    let driver = driver(&request)?;
    check_name(&request.name)?;
    if (taken.names)(&request.name) {
        return Err(Error::Exists { name: request.name });
    }
    let (v4, v6) = (request.enable_ipv4.unwrap_or(true), request.enable_ipv6.unwrap_or(false));
    if !v4 && !v6 {
        return Err(Error::InvalidIpam("IPv4 and IPv6 cannot both be disabled".into()));
    }
    let id = Id::random();
    let lan = lan::Options::parse(driver, &request.options)?;
    let bridge = match &lan {
        Some(lan) => lan.parent.clone().unwrap_or_else(|| lan::own_parent(&id)),
        None => bridge(&request, &id, taken)?,
    };
    if driver == Driver::Ipvlan
        && let Some(network) = (taken.parents)(&bridge)
    {
        return Err(Error::ParentInUse { network, parent: bridge });
    }
    let wanted = addresses::Wanted { v4, v6, gateways: lan.is_none() };
    let pools = addresses::addresses(&request.pools, &wanted, taken.subnets, pools)?;
    if lan.is_none() {
        one_of_each_family(&pools)?;
    }
    Ok(Network {
        id,
        name: request.name,
        created: Timestamp::now(),
        driver,
        internal: request.internal,
        attachable: request.attachable,
        ipv4: v4,
        ipv6: v6,
        pools,
        ipam_options: request.ipam_options,
        options: request.options,
        labels: request.labels,
        bridge,
        config_only: false,
        config_from: request.config_from.unwrap_or_default(),
        config_pools: Vec::new(),
    })
}

/// As [`network`], for a network that others copy: what it says must be well-formed, and is nobody's yet.
fn configuration(request: NewNetwork, taken: &Taken<'_>, pools: &[AddressPool]) -> Result<Network> {
    check_name(&request.name)?;
    if (taken.names)(&request.name) {
        return Err(Error::Exists { name: request.name });
    }
    driver(&NewNetwork { scope: String::new(), ingress: false, ..request.clone() })?;
    let network = configuration::network(request)?;
    let wanted = addresses::Wanted { v4: network.ipv4, v6: network.ipv6, gateways: false };
    if !network.config_pools.is_empty() {
        addresses::addresses(&network.config_pools, &wanted, &[], pools)?;
    }
    Ok(network)
}

/// The bridge's name, and that nothing contradicts it.
fn bridge(request: &NewNetwork, id: &Id, taken: &Taken<'_>) -> Result<String> {
    let options = BridgeOptions::parse(&request.options)?;
    if (options.isolated.v4 || options.isolated.v6) && !request.internal {
        return Err(Error::IsolatedNotInternal);
    }
    let bridge = options.bridge.unwrap_or_else(|| format!("br-{}", id.short()));
    if RESERVED.contains(&bridge.as_str()) {
        return Err(Error::InvalidOption {
            key: options::NAME.into(),
            value: bridge,
            expected: "that is the name of an interface of the engine's own",
        });
    }
    if (taken.bridges)(&bridge) {
        return Err(Error::InvalidOption {
            key: options::NAME.into(),
            value: bridge,
            expected: "another network has a bridge of that name",
        });
    }
    Ok(bridge)
}

/// A bridge has one gateway of each family.
fn one_of_each_family(pools: &[crate::record::Pool]) -> Result<()> {
    let count = |six| pools.iter().filter(|pool| pool.subnet.addr().is_ipv6() == six).count();
    if count(false) > 1 || count(true) > 1 { Err(Error::MultipleSubnets) } else { Ok(()) }
}

/// Which driver is asked for; that nothing is asked for that no driver here has.
fn driver(request: &NewNetwork) -> Result<Driver> {
    let driver = match request.driver.as_str() {
        "" | "bridge" | "default" => Driver::Bridge,
        "macvlan" => Driver::Macvlan,
        "ipvlan" => Driver::Ipvlan,
        "overlay" => return Err(Error::NotSwarm),
        "host" => return Err(Error::Single { driver: "host" }),
        "null" | "none" => return Err(Error::Single { driver: "null" }),
        other => return Err(Error::UnknownDriver { driver: other.to_owned() }),
    };
    if request.ingress || !matches!(request.scope.as_str(), "" | "local") {
        return Err(Error::NotSwarm);
    }
    match request.ipam_driver.as_str() {
        "" | "default" => Ok(driver),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pools, record::Pool, request::NewPool};
    use std::{collections::BTreeMap, net::IpAddr};

    fn check(request: NewNetwork) -> Result<Network> {
        let taken = Taken {
            names: &|name| name == "there",
            subnets: &[("172.17.0.0/16".parse().unwrap(), "bridge".into())],
            bridges: &|name| name == "docker0",
            parents: &|name| (name == "tap0").then(|| "there".into()),
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
        assert_eq!(made.pools[0].gateway, Some("172.18.0.1".parse::<IpAddr>().unwrap()));
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
    fn gateways_and_auxiliary_addresses_are_somebodys_each() {
        let with = |gateway: &str, aux: &[(&str, &str)]| {
            let mut request = with_pool("10.1.2.0/24", "", gateway);
            request.pools[0].aux = aux.iter().map(|(n, a)| (n.to_string(), a.to_string())).collect();
            check(request).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(with("10.1.2.254", &[("a", "10.1.2.1"), ("b", "10.1.2.2")]), Ok(()));
        for (gateway, aux, expected) in [
            ("10.1.2.0", &[][..], "gateway (10.1.2.0)"),
            ("10.1.2.255", &[], "gateway (10.1.2.255)"),
            ("10.1.2.9", &[("a", "10.1.2.9")], "secondary ip address (a:10.1.2.9)"),
            ("", &[("a", "10.1.2.9"), ("b", "10.1.2.9")], "secondary ip address (b:10.1.2.9)"),
            ("", &[("a", "10.1.2.1")], "secondary ip address (a:10.1.2.1)"),
            ("", &[("a", "10.1.2.255")], "secondary ip address (a:10.1.2.255)"),
        ] {
            let expected = format!("failed to allocate {expected}: Address already in use");
            assert_eq!(with(gateway, aux), Err(expected));
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
    }

    fn with_two(driver: &str) -> NewNetwork {
        let mut request = with_pool("10.8.0.0/24", "", "10.8.0.9");
        request.driver = driver.into();
        request.pools.push(NewPool { subnet: "10.9.0.0/24".into(), ..Default::default() });
        request
    }

    #[test]
    fn a_bridge_has_one_subnet_of_a_family_and_macvlan_any_number() {
        let refused = check(with_two("bridge")).unwrap_err();
        assert_eq!(refused.to_string(), "bridge driver doesn't support multiple subnets");
        assert_eq!(refused.kind(), model::ErrorKind::Forbidden);
        let made = check(with_two("macvlan")).unwrap();
        let gateways: Vec<_> = made.pools.iter().map(|pool: &Pool| pool.gateway).collect();
        assert_eq!(gateways, [Some("10.8.0.9".parse::<IpAddr>().unwrap()), None], "no gateway is made up");
        assert_eq!(made.bridge, format!("dm-{}", made.id.short()));
    }

    #[test]
    fn a_parent_has_one_ipvlan_network_and_isolation_is_for_internal_ones() {
        let with = |driver: &str, key: &str, value: &str, internal| {
            let options = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            check(NewNetwork {
                name: "n".into(),
                driver: driver.into(),
                internal,
                options,
                ..Default::default()
            })
        };
        assert!(matches!(with("ipvlan", "parent", "tap0", false), Err(Error::ParentInUse { .. })));
        assert_eq!(with("macvlan", "parent", "tap0", false).unwrap().bridge, "tap0");
        let mode = "com.docker.network.bridge.gateway_mode_ipv4";
        assert!(matches!(with("bridge", mode, "isolated", false), Err(Error::IsolatedNotInternal)));
        assert!(with("bridge", mode, "isolated", true).is_ok());
        assert!(matches!(with("bridge", mode, "routed", true), Err(Error::Unsupported { .. })));
    }
}
