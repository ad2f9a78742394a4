//! `docker network prune`

use crate::{Engine, Error, blocking, filters::Filters};
use api_types::NetworksPruneReport;
use network::Network;
use std::sync::Arc;

/// Removes the user-defined networks that no container, running or not, is on.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<NetworksPruneReport, Error> {
    filters.only(&["label", "label!", "until"])?;
    let until = filters.until()?;
    let (engine, filters) = (engine.clone(), filters.clone());
    blocking("prune networks", move || {
        let select = |network: &Network| {
            until.is_none_or(|until| network.created < until)
                && filters.wanted_labels(&network.labels)
                && super::users(&engine, network).is_empty()
        };
        let pruned = engine.networks.prune(select)?;
        for network in &pruned {
            super::publish(&engine, "destroy", network, None);
        }
        let attributes = [("reclaimed".to_owned(), "0".to_owned())].into();
        engine.events.publish(crate::events::Kind::Network, "prune", "", attributes);
        Ok(NetworksPruneReport { networks_deleted: pruned.into_iter().map(|network| network.name).collect() })
    })
    .await?
}
