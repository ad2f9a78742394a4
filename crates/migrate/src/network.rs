//! User-defined networks.

use crate::engines::Engines;
use crate::error::{Error, step};
use crate::plan::{Fate, Item};
use api_types::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use cli::connect::Request;

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
            compare(&network, same)
        } else {
            if let Some(taken) = overlapping(&network, &here) {
                remarks.push(format!("network {taken} has its subnet here already: it gets another one"));
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

fn compare(there: &Network, here: &Network) -> Fate {
    let differs = |what: &str, there: String, here: String| {
        Fate::Differs(format!("its {what} is {here} here and {there} there"))
    };
    if there.driver != here.driver {
        return differs("driver", there.driver.clone(), here.driver.clone());
    }
    if subnets(there) != subnets(here) {
        return differs("subnet", subnets(there).join(" "), subnets(here).join(" "));
    }
    if there.internal != here.internal {
        return differs("internal", there.internal.to_string(), here.internal.to_string());
    }
    Fate::Same
}

fn overlapping<'a>(network: &Network, here: &'a [Network]) -> Option<&'a str> {
    let taken = here.iter().find(|other| subnets(other).iter().any(|s| subnets(network).contains(s)));
    taken.map(|other| other.name.as_str())
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
