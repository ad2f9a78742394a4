//! `docker network create`

use crate::{Engine, Error, blocking};
use api_types::{IpamConfig, NetworkCreateRequest, NetworkCreateResponse};
use network::{NewNetwork, NewPool};
use std::sync::Arc;

pub async fn create(
    engine: &Arc<Engine>,
    request: NetworkCreateRequest,
) -> Result<NetworkCreateResponse, Error> {
    let engine = engine.clone();
    blocking("create network", move || {
        let created = engine.networks.create(new(request))?;
        super::publish(&engine, "create", &engine.networks.get(created.id.as_str())?, None);
        Ok(NetworkCreateResponse { id: created.id.to_string(), warning: created.warning })
    })
    .await?
}

fn new(request: NetworkCreateRequest) -> NewNetwork {
    let ipam = request.ipam.unwrap_or_default();
    let pool = |config: IpamConfig| NewPool {
        subnet: config.subnet,
        ip_range: config.ip_range,
        gateway: config.gateway,
        aux: config.auxiliary_addresses,
    };
    NewNetwork {
        name: request.name,
        driver: request.driver,
        scope: request.scope,
        internal: request.internal,
        attachable: request.attachable,
        ingress: request.ingress,
        config_only: request.config_only,
        config_from: request.config_from.map(|from| from.network).filter(|name| !name.is_empty()),
        enable_ipv4: request.enable_ipv4,
        enable_ipv6: request.enable_ipv6,
        ipam_driver: ipam.driver,
        ipam_options: ipam.options,
        pools: ipam.config.into_iter().map(pool).collect(),
        options: request.options,
        labels: request.labels,
    }
}
