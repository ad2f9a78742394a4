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
        let live = self.reserve(request)?;
        let (id, warning) = (live.network.id.clone(), unknown_options(&live));
        let made = self.make(live);
        let mut books = self.books();
        books.reserved.remove(&id);
        books.networks.insert(id.clone(), made?);
        drop(books);
        // Its subnets are inside from now on.
        if let Err(cause) = self.allow_all() {
            let mut undo = Undo::default();
            undo.push("make the network", || self.forget(id.as_str()).map(drop));
            return Err(undo.roll_back(cause));
        }
        Ok(Created { id, warning })
    }

    /// Two networks made at once must not choose the same subnet: what is chosen is entered under the same lock.
    fn reserve(&self, request: NewNetwork) -> Result<Live> {
        let mut books = self.books();
        let request = configuration::resolve(request, &books)?;
        let subnets: Vec<(IpNet, String)> = books
            .all()
            .flat_map(|network| network.pools.iter().map(|p| (p.subnet, network.name.clone())))
            .collect();
        let taken = Taken {
            names: &|name| books.all().any(|network| network.name == name),
            subnets: &subnets,
            bridges: &|bridge| books.all().any(|network| network.bridge == bridge),
            parents: &|parent| {
                let mut ipvlan = books.all().filter(|network| network.driver == Driver::Ipvlan);
                ipvlan.find(|network| network.bridge == parent).map(|network| network.name.clone())
            },
        };
        let network = validate::network(request, &taken, &self.pools)?;
        let live = Live::new(network, 0)?;
        books.reserved.insert(live.network.id.clone(), live.network.clone());
        Ok(live)
    }

    /// Makes a network's bridge and its record.
    fn make(&self, mut live: Live) -> Result<Live> {
        if live.lan.as_ref().is_some_and(|lan| lan.parent.is_some()) {
            self.router.parent(&live.network.bridge)?;
        }
        let mut undo = Undo::default();
        if let Some(plan) = live.plan() {
            live.bridge_index = self.router.add_bridge(&plan)?;
            undo.push("make the bridge", move || self.router.delete_bridge(&plan));
        }
        match self.records.put(live.network.id.as_str(), &live.network) {
            Ok(()) => Ok(live),
            Err(error) => Err(undo.roll_back(error.into())),
        }
    }

    /// Removes a network that no running container is on; returns what it was.
    pub fn remove(&self, name: &str) -> Result<Network> {
        let network = self.forget(name)?;
        // Whoever asked again would be told that there is none.
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
        let live = books.networks.remove(&id).ok_or_else(|| Error::NotFound { name: name.to_owned() })?;
        books.reserved.insert(id.clone(), live.network.clone());
        drop(books);
        let deleted = self.records.delete(id.as_str());
        if deleted.is_ok()
            && let Some(plan) = live.plan()
            && let Err(error) = self.router.delete_bridge(&plan)
        {
            // The network is gone; a bridge that no record accounts for goes with the next start, or to the next of its name.
            tracing::warn!(%error, network = live.network.name, "cannot remove the bridge of a network that is gone");
        }
        let mut books = self.books();
        books.reserved.remove(&id);
        match deleted {
            Ok(_) => Ok(live.network),
            Err(error) => {
                books.networks.insert(id, live);
                Err(error.into())
            }
        }
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
