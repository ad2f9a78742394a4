//! User-defined networks.

use crate::engines::Engines;
use crate::error::{Error, step};
use crate::plan::{Fate, Item};
use api_types::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use cli::connect::Request;
use ipnet::IpNet;

/// Networks that every engine has, under these names.
const OWN: [&str; 4] = ["bridge", "host", "none", "podman"];

pub(crate) async fn plan(engines: &Engines) -> Result<Vec<Item<Network>>, Error> {
    let here = engines.to.networks().await?;
    let known = &engines.to.info.plugins.network;
    let mut items = Vec::new();
    for network in engines.from.networks().await?.into_iter().filter(|n| !is_own(&n.name) && !n.ingress) {
        let mut remarks = Vec::new();
        let fate = if !known.contains(&network.driver) {
            Fate::Refused(format!("there is no network driver {} here", network.driver))
        } else if let Some(same) = here.iter().find(|n| n.name == network.name) {
            compare(&network, same, &here)
        } else {
            if let Some(taken) = overlapping(&network, &here) {
                remarks
                    .push(format!("network {taken} has addresses of its subnet here: it gets another one"));
            }
            Fate::Make
        };
        items.push(Item { name: network.name.clone(), fate, remarks, what: network });
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

pub(crate) fn is_own(name: &str) -> bool {
    OWN.contains(&name)
}

fn subnets(network: &Network) -> Vec<&str> {
    network.ipam.config.iter().map(|c| c.subnet.as_str()).collect()
}

/// `all` are the networks that are here. One that was made by an earlier run, which could not give it its subnet, is the
/// same.
fn compare(there: &Network, here: &Network, all: &[Network]) -> Fate {
    let differs = |what: &str, there: String, here: String| {
        Fate::Differs(format!("its {what} is {here} here and {there} there"))
    };
    if there.driver != here.driver {
        return differs("driver", there.driver.clone(), here.driver.clone());
    }
    let taken = || all.iter().any(|other| other.name != here.name && overlap(there, other));
    if subnets(there) != subnets(here) && !taken() {
        return differs("subnet", subnets(there).join(" "), subnets(here).join(" "));
    }
    if there.internal != here.internal {
        return differs("internal", there.internal.to_string(), here.internal.to_string());
    }
    Fate::Same
}

fn overlapping<'a>(network: &Network, here: &'a [Network]) -> Option<&'a str> {
    here.iter().find(|other| overlap(network, other)).map(|other| other.name.as_str())
}

fn overlap(a: &Network, b: &Network) -> bool {
    let nets = |network| subnets(network).into_iter().filter_map(|subnet| subnet.parse::<IpNet>().ok());
    nets(a).any(|a| nets(b).any(|b| a.contains(&b) || b.contains(&a)))
}

pub(crate) async fn create(engines: &Engines, network: &Network) -> Result<(), Error> {
    let here = engines.to.networks().await?;
    // A container's own address in it can only be kept with the subnet.
    let config = if overlapping(network, &here).is_some() { Vec::new() } else { network.ipam.config.clone() };
    let request = NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        internal: network.internal,
        attachable: network.attachable,
        enable_ipv6: Some(network.enable_ipv6),
        // Options of the other's address management are its own: podman notes its plugin's name there.
        ipam: Some(Ipam {
            driver: "default".to_owned(),
            config: config.into_iter().map(gateway).collect(),
            ..Ipam::default()
        }),
        options: network.options.clone(),
        labels: network.labels.clone(),
        ..NetworkCreateRequest::default()
    };
    let step = |s: &str| step(format!("{s} network {}", network.name));
    let request = Request::post("/networks/create").json(&request).map_err(step("describe"))?;
    engines.to.client.run(request).await.map_err(step("create"))
}

/// Docker shows the gateway of IPv6 networks with its prefix length at times.
fn gateway(mut config: IpamConfig) -> IpamConfig {
    if let Some((address, _)) = config.gateway.split_once('/') {
        config.gateway = address.to_owned();
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, subnet: &str) -> Network {
        let config = vec![IpamConfig { subnet: subnet.to_owned(), ..IpamConfig::default() }];
        Network {
            name: name.to_owned(),
            driver: "bridge".to_owned(),
            ipam: Ipam { config, ..Ipam::default() },
            ..Network::default()
        }
    }

    #[test]
    fn a_network_that_had_to_take_another_subnet_is_known_again() {
        let there = network("front", "10.9.0.0/24");
        let (copy, other) = (network("front", "172.20.0.0/16"), network("back", "10.9.0.0/24"));
        assert_eq!(compare(&there, &copy, &[copy.clone(), other]), Fate::Same);
        // Half of it is enough to be in the way.
        for (taken, there) in [("172.18.5.0/24", "172.18.0.0/16"), ("fd00::/48", "fd00:0:0:7::/64")] {
            let (there, taken) = (network("front", there), network("back", taken));
            assert_eq!(overlapping(&there, std::slice::from_ref(&taken)), Some("back"));
            assert_eq!(overlapping(&taken, std::slice::from_ref(&there)), Some("front"));
            assert_eq!(overlapping(&there, &[network("back", "172.19.0.0/16")]), None);
        }
        let Fate::Differs(how) = compare(&there, &copy, std::slice::from_ref(&copy)) else { panic!() };
        assert_eq!(how, "its subnet is 172.20.0.0/16 here and 10.9.0.0/24 there");
    }
}
