//! `network create`, `network rm`, `network prune`.

use crate::{
    books::Live,
    configuration,
    error::{Error, Result},
    lan,
    networks::{Created, Networks},
    options,
    record::{Driver, Network},
    request::NewNetwork,
    undo::Undo,
    validate::{self, Taken},
};
use ipnet::IpNet;

impl Networks {
    /// Makes a network: its record, and its bridge in the router namespace.
    pub fn create(&self, request: NewNetwork) -> Result<Created> {
        // Two networks made at once must not choose the same subnet: the record is entered under the same lock.
        let mut books = self.books();
        let request = configuration::resolve(request, &books)?;
        let subnets: Vec<(IpNet, String)> = books
            .networks
            .values()
            .flat_map(|live| live.network.pools.iter().map(|p| (p.subnet, live.network.name.clone())))
            .collect();
        let taken = Taken {
            names: &|name| books.networks.values().any(|live| live.network.name == name),
            subnets: &subnets,
            bridges: &|bridge| books.networks.values().any(|live| live.network.bridge == bridge),
            parents: &|parent| {
                let mut ipvlan = books.networks.values().filter(|live| live.network.driver == Driver::Ipvlan);
                ipvlan.find(|live| live.network.bridge == parent).map(|live| live.network.name.clone())
            },
        };
        let network = validate::network(request, &taken, &self.pools)?;
        let id = network.id.clone();
        let mut live = Live::new(network, 0)?;
        if live.lan.as_ref().is_some_and(|lan| lan.parent.is_some()) {
            self.router.parent(&live.network.bridge)?;
        }
        let warning = unknown_options(&live);
        let mut undo = Undo::default();
        if let Some(plan) = live.plan() {
            live.bridge_index = self.router.add_bridge(&plan)?;
            undo.push("make the bridge", move || self.router.delete_bridge(&plan));
        }
        if let Err(error) = self.records.put(id.as_str(), &live.network) {
            return Err(undo.roll_back(error.into()));
        }
        books.networks.insert(id.clone(), live);
        drop(books);
        // Its subnets are inside from now on.
        if let Err(cause) = self.allow_all() {
            let mut undo = Undo::default();
            undo.push("make the network", || self.forget(id.as_str()).map(drop));
            return Err(undo.roll_back(cause));
        }
        Ok(Created { id, warning })
    }

    /// Removes a network that no running container is on; returns what it was.
    pub fn remove(&self, name: &str) -> Result<Network> {
        let network = self.forget(name)?;
        // It is gone: whoever asked again would be told that there is none.
        if let Err(error) = self.allow_all() {
            tracing::warn!(%error, network = network.name, "containers' policies still know a network that is gone");
        }
        Ok(network)
    }

    fn forget(&self, name: &str) -> Result<Network> {
        let mut books = self.books();
        let live = books.find(name)?;
        if live.network.is_predefined() {
            return Err(Error::RemovePredefined { name: live.network.name.clone() });
        }
        configuration::may_go(&live.network, &books)?;
        let (id, users) = (live.network.id.clone(), live.users.len());
        let network_name = live.network.name.clone();
        let attached: Vec<String> = books
            .endpoints(&id)
            .map(|(record, e)| format!("name:\"{}\" id:\"{}\"", record.container_name, e.id.short()))
            .collect();
        if users > 0 {
            // Those being connected or disconnected at this moment have no endpoint to show.
            let endpoints =
                if attached.is_empty() { format!("{users} changing") } else { attached.join(", ") };
            return Err(Error::InUse { name: network_name, id: id.to_string(), endpoints });
        }
        self.records.delete(id.as_str())?;
        let live = books.networks.remove(&id).ok_or_else(|| Error::NotFound { name: name.to_owned() })?;
        drop(books);
        if let Some(plan) = live.plan() {
            self.router.delete_bridge(&plan)?;
        }
        Ok(live.network)
    }

    /// Removes the user-defined networks that `select` picks and no running container is on; returns what they were.
    pub fn prune(&self, select: impl Fn(&Network) -> bool) -> Result<Vec<Network>> {
        // Containers that were removed a moment ago have left their networks as far as whoever prunes is concerned.
        self.reaper.finish();
        let unused: Vec<Network> = self
            .books()
            .networks
            .values()
            .map(|live| (&live.network, live.users.is_empty()))
            .filter(|(network, unused)| *unused && network.is_for_containers())
            .filter(|(network, _)| select(network))
            .map(|(network, _)| network.clone())
            .collect();
        let mut removed = Vec::new();
        for network in unused {
            match self.remove(network.id.as_str()) {
                Ok(network) => removed.push(network),
                // Taken into use, or removed by someone else, since it was looked at.
                Err(Error::InUse { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// Docker keeps options it does not know; whoever gave one should hear that it does nothing.
fn unknown_options(live: &Live) -> String {
    let lan_only = |key: &&String| !lan::KEYS.contains(&key.as_str()) && *key != options::PREFIX;
    let unknown: Vec<&str> = match &live.lan {
        Some(_) => live.network.options.keys().filter(lan_only).map(String::as_str).collect(),
        None => live.options.unknown.iter().map(String::as_str).collect(),
    };
    match unknown.as_slice() {
        [] => String::new(),
        keys => format!(
            "the driver {} does not know and does not use: {}",
            live.network.driver.as_str(),
            keys.join(", ")
        ),
    }
}
