//! `docker network ls`, `docker network inspect`

use crate::{Engine, Error, filters::Filters};
use api_types::{ConfigReference, EndpointResource, Ipam, IpamConfig, Network as Wire};
use network::{Attached, Network, NewPool, Pool};

const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// The networks that fit, oldest first, without their containers (as Docker since API 1.28).
pub fn list(engine: &Engine, filters: &Filters) -> Result<Vec<Wire>, Error> {
    filters.only(FILTERS)?;
    let dangling = filters.contains("dangling").then(|| filters.boolean("dangling", false)).transpose()?;
    check_types(filters)?;
    let fits = |network: &Network| {
        filters.exact("driver", network.driver.as_str())
            && filters.contained("name", &network.name)
            && filters.prefix("id", network.id.as_str())
            && filters.exact("scope", "local")
            && filters.labels("label", |key| network.labels.get(key).map(String::as_str))
            && filters.exact("type", if network.is_predefined() { "builtin" } else { "custom" })
            && dangling.is_none_or(|wanted| is_dangling(engine, network) == wanted)
    };
    Ok(engine.networks.list().into_iter().filter(fits).map(|network| wire(network, &[])).collect())
}

fn check_types(filters: &Filters) -> Result<(), Error> {
    let unknown = filters.get("type").iter().find(|kind| !matches!(kind.as_str(), "builtin" | "custom"));
    unknown.map_or(Ok(()), |kind| Err(Error::InvalidFilter { text: format!("type={kind}") }))
}

fn is_dangling(engine: &Engine, network: &Network) -> bool {
    network.is_for_containers() && engine.networks.attached(&network.id).is_empty()
}

/// By name, ID, or a prefix of an ID; with the containers that are on it.
pub fn inspect(engine: &Engine, reference: &str) -> Result<Wire, Error> {
    let network = engine.networks.get(reference)?;
    let attached = engine.networks.attached(&network.id);
    Ok(wire(network, &attached))
}

fn wire(network: Network, attached: &[Attached]) -> Wire {
    let text = |address: Option<String>| address.unwrap_or_default();
    let resource = |attached: &Attached| EndpointResource {
        name: attached.container_name.clone(),
        endpoint_id: attached.endpoint.id.to_string(),
        mac_address: text(attached.endpoint.mac.map(|mac| mac.to_string())),
        ipv4_address: text(attached.endpoint.ipv4.map(|a| a.to_string())),
        ipv6_address: text(attached.endpoint.ipv6.map(|a| a.to_string())),
    };
    Wire {
        name: network.name,
        id: network.id.to_string(),
        created: network.created.to_string(),
        scope: "local".to_owned(),
        driver: network.driver.as_str().to_owned(),
        enable_ipv4: network.ipv4,
        enable_ipv6: network.ipv6,
        ipam: Ipam {
            driver: "default".to_owned(),
            options: network.ipam_options,
            config: match network.config_only {
                true => network.config_pools.into_iter().map(asked).collect(),
                false => network.pools.iter().map(pool).collect(),
            },
        },
        internal: network.internal,
        attachable: network.attachable,
        config_only: network.config_only,
        config_from: ConfigReference { network: network.config_from },
        containers: attached.iter().map(|a| (a.container.to_string(), resource(a))).collect(),
        options: network.options,
        labels: network.labels,
        ..Wire::default()
    }
}

/// Of a configuration, as it was asked for.
fn asked(pool: NewPool) -> IpamConfig {
    IpamConfig {
        subnet: pool.subnet,
        ip_range: pool.ip_range,
        gateway: pool.gateway,
        auxiliary_addresses: pool.aux,
    }
}

fn pool(pool: &Pool) -> IpamConfig {
    IpamConfig {
        subnet: pool.subnet.to_string(),
        ip_range: pool.ip_range.map(|range| range.to_string()).unwrap_or_default(),
        gateway: pool.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        auxiliary_addresses: pool
            .aux
            .iter()
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect(),
    }
}
