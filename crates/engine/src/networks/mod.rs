//! Verbs for networks, on crate `network`: filters, which containers are on a network, events, and the wire form.

mod connect;
mod create;
mod error;
mod list;
mod prune;
mod remove;

pub use connect::{connect, disconnect};
pub use create::create;
pub use error::ModeConflict;
pub use list::{inspect, list};
pub use prune::prune;
pub use remove::remove;

use crate::{Engine, container::Record, events::Kind};
use api_types::Map;
use model::Id;
use network::{Endpoint, Network, SandboxRecord};

fn publish(engine: &Engine, action: &str, network: &Network, container: Option<&Id>) {
    let mut attributes = Map::from([
        ("name".to_owned(), network.name.clone()),
        ("type".to_owned(), network.driver.as_str().to_owned()),
    ]);
    if let Some(container) = container {
        attributes.insert("container".to_owned(), container.to_string());
    }
    engine.events.publish(Kind::Network, action, network.id.as_str(), attributes);
}

/// The containers, running or not, that name this network; each with the name by which it does.
fn users(engine: &Engine, network: &Network) -> Vec<(std::sync::Arc<crate::Container>, String)> {
    let all = engine.containers.all().into_iter();
    let name = |record: &Record| name_in(record, &network.id, &network.name);
    all.filter_map(|container| name(&container.record()).map(|name| (container, name))).collect()
}

/// The name by which a container's record names a network, if it does.
fn name_in(record: &Record, network: &Id, network_name: &str) -> Option<String> {
    let named = |(name, settings): (&String, &api_types::EndpointSettings)| {
        let is = *name == network_name
            || *name == network.as_str()
            || settings.network_id == network.as_str()
            || (name.len() >= 12 && network.as_str().starts_with(name.as_str()));
        is.then(|| name.clone())
    };
    record.networks.iter().find_map(named)
}

/// Takes an adopted container off the networks that its record does not name: an earlier engine died before it told its
/// client that the container had joined them. (Where the record names more, an engine died before it said that the container
/// had left: the next `disconnect` succeeds.) One that cannot be left is told, and keeps it on no other.
pub(crate) fn leave_unnamed(engine: &Engine, record: &Record, sandbox: &SandboxRecord) {
    // By whatever a start would have found them by, such as the first digits of an ID.
    let found = |(name, settings): (&String, &api_types::EndpointSettings)| {
        let name = if settings.network_id.is_empty() { name } else { &settings.network_id };
        engine.networks.get(name).ok().map(|network| network.id)
    };
    let named: Vec<Id> = record.networks.iter().filter_map(found).collect();
    let unnamed = |endpoint: &&Endpoint| {
        !named.contains(&endpoint.network)
            && name_in(record, &endpoint.network, &endpoint.network_name).is_none()
    };
    for endpoint in sandbox.endpoints.iter().filter(unnamed) {
        let left = connect::follow(engine, record, || {
            Ok(engine.networks.disconnect(&record.id, endpoint.network.as_str()).map(drop)?)
        });
        if let Err(error) = left {
            tracing::error!(
                container = %record.id,
                network = endpoint.network_name,
                %error,
                "an engine died while the container joined this network, which it cannot be taken off now: disconnect it"
            );
        }
    }
}
