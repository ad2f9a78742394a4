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

use crate::{Engine, events::Kind};
use api_types::Map;
use model::Id;
use network::Network;

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
    let names = |record: &crate::container::Record| {
        let named = |(name, settings): (&String, &api_types::EndpointSettings)| {
            let is = *name == network.name
                || *name == network.id.as_str()
                || settings.network_id == network.id.as_str()
                || (name.len() >= 12 && network.id.as_str().starts_with(name.as_str()));
            is.then(|| name.clone())
        };
        record.networks.iter().find_map(named)
    };
    let all = engine.containers.all().into_iter();
    all.filter_map(|container| names(&container.record()).map(|name| (container, name))).collect()
}
