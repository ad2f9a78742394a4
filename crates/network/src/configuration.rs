//! Configuration networks (`network create --config-only`): nothing but settings that others copy (`--config-from`).
//!
//! The rules and words are libnetwork's (`validateConfiguration`, `applyConfigurationTo`).

use crate::{
    books::Books,
    error::Result,
    record::{Driver, Network},
    request::NewNetwork,
};
use model::{ErrorKind, Id, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported."
    )]
    OperatorField,
    #[error("a configuration network cannot depend on another configuration network")]
    Chain,
    #[error(
        "user specified configurations are not supported if the network depends on a configuration network"
    )]
    OwnSettings,
    #[error("network driver options are not supported if the network depends on a configuration network")]
    OwnOptions,
    #[error("configuration network \"{0}\" not found")]
    NotFound(String),
    #[error("configuration network \"{0}\" is in use")]
    InUse(String),
    #[error("cannot create endpoint on configuration-only network")]
    Endpoint,
}

impl Refusal {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            _ => ErrorKind::Forbidden,
        }
    }
}

/// The request with what it copies.
pub(crate) fn resolve(request: NewNetwork, books: &Books) -> Result<NewNetwork> {
    let Some(name) = request.config_from.clone() else { return Ok(request) };
    if request.config_only {
        return Err(Refusal::Chain.into());
    }
    let has_settings = !matches!(request.ipam_driver.as_str(), "" | "default")
        || request.enable_ipv4 == Some(false)
        || request.enable_ipv6 == Some(true)
        || !(request.labels.is_empty() && request.ipam_options.is_empty() && request.pools.is_empty());
    if has_settings {
        return Err(Refusal::OwnSettings.into());
    }
    if !request.options.is_empty() {
        return Err(Refusal::OwnOptions.into());
    }
    let all = books.networks.values().map(|live| &live.network);
    let found = all.filter(|network| network.config_only).find(|network| network.name == name);
    let from = found.ok_or(Refusal::NotFound(name))?;
    Ok(NewNetwork {
        enable_ipv4: Some(from.ipv4),
        enable_ipv6: Some(from.ipv6),
        ipam_options: from.ipam_options.clone(),
        pools: from.config_pools.clone(),
        options: from.options.clone(),
        labels: from.labels.clone(),
        ..request
    })
}

/// The record of a configuration network. Its driver is `null`: what its settings mean is for the driver of those who copy
/// them.
pub(crate) fn network(request: NewNetwork) -> Result<Network> {
    if request.ingress || request.internal || request.attachable || !request.scope.is_empty() {
        return Err(Refusal::OperatorField.into());
    }
    Ok(Network {
        id: Id::random(),
        name: request.name,
        created: Timestamp::now(),
        driver: Driver::Null,
        internal: false,
        attachable: false,
        ipv4: request.enable_ipv4.unwrap_or(true),
        ipv6: request.enable_ipv6.unwrap_or(false),
        pools: Vec::new(),
        ipam_options: request.ipam_options,
        options: request.options,
        labels: request.labels,
        bridge: String::new(),
        config_only: true,
        config_from: String::new(),
        config_pools: request.pools,
    })
}

/// Whether a network may go: not a configuration that others depend on.
pub(crate) fn may_go(network: &Network, books: &Books) -> Result<()> {
    let depends = |other: &Network| network.config_only && other.config_from == network.name;
    match books.all().any(depends) {
        true => Err(Refusal::InUse(network.name.clone()).into()),
        false => Ok(()),
    }
}
