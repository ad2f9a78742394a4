//! The names of containers, network by network.

use crate::proto::Names;
use model::Id;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

/// All names of all networks.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    networks: HashMap<Id, Zone>,
    /// Which network an endpoint's names are in.
    endpoints: HashMap<Id, Id>,
}

#[derive(Debug, Default)]
struct Zone {
    name: String,
    endpoints: BTreeMap<Id, Names>,
}

impl Zones {
    /// Enters an endpoint's names, in place of those it had.
    pub(crate) fn put(&mut self, mut names: Names) {
        self.forget(&names.endpoint);
        names.names.iter_mut().for_each(|name| name.make_ascii_lowercase());
        self.endpoints.insert(names.endpoint.clone(), names.network.clone());
        let zone = self.networks.entry(names.network.clone()).or_default();
        zone.name = names.network_name.to_ascii_lowercase();
        zone.endpoints.insert(names.endpoint.clone(), names);
    }

    pub(crate) fn forget(&mut self, endpoint: &Id) {
        let Some(network) = self.endpoints.remove(endpoint) else { return };
        if let Some(zone) = self.networks.get_mut(&network) {
            zone.endpoints.remove(endpoint);
            if zone.endpoints.is_empty() {
                self.networks.remove(&network);
            }
        }
    }

    /// The addresses of `name` on the first of `networks` that knows it; `name.network` names the network itself.
    pub(crate) fn lookup(&self, networks: &[Id], name: &str) -> Option<Vec<IpAddr>> {
        networks.iter().find_map(|id| self.networks.get(id)?.addresses(name))
    }

    /// The name of the container that has `address` on one of `networks`, with the network's.
    pub(crate) fn reverse(&self, networks: &[Id], address: IpAddr) -> Option<String> {
        networks.iter().filter_map(|id| self.networks.get(id)).find_map(|zone| {
            let names = zone.endpoints.values().find(|names| names.addresses.contains(&address))?;
            Some(format!("{}.{}", names.names.first()?, zone.name))
        })
    }
}

impl Zone {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let bare = name.strip_suffix(&self.name).and_then(|n| n.strip_suffix('.'));
        let all = |wanted: &str| -> Vec<IpAddr> {
            let named = self.endpoints.values().filter(|names| names.names.iter().any(|n| n == wanted));
            named.flat_map(|names| names.addresses.iter().copied()).collect()
        };
        [Some(name), bare].into_iter().flatten().map(all).find(|addresses| !addresses.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(network: &Id, names: &[&str], address: &str) -> Names {
        Names {
            endpoint: Id::random(),
            network: network.clone(),
            network_name: "Front".into(),
            names: names.iter().map(ToString::to_string).collect(),
            addresses: vec![address.parse().unwrap()],
        }
    }

    #[test]
    fn names_are_those_of_the_askers_networks() {
        let (front, back) = (Id::random(), Id::random());
        let mut zones = Zones::default();
        let web = names(&front, &["Web", "www"], "172.18.0.2");
        zones.put(web.clone());
        let address = vec!["172.18.0.2".parse().unwrap()];
        let seen = |networks: &[&Id], name: &str| {
            zones.lookup(&networks.iter().map(|id| (*id).clone()).collect::<Vec<_>>(), name)
        };
        assert_eq!(seen(&[&back, &front], "web"), Some(address.clone()));
        assert_eq!(seen(&[&front], "www.front"), Some(address));
        assert_eq!(seen(&[&back], "web"), None);
        assert_eq!(seen(&[&front], "web.back"), None);
        assert_eq!(
            zones.reverse(std::slice::from_ref(&front), "172.18.0.2".parse().unwrap()),
            Some("web.front".into())
        );
        zones.put(names(&front, &["other", "www"], "172.18.0.3"));
        assert_eq!(
            zones.lookup(std::slice::from_ref(&front), "www").unwrap().len(),
            2,
            "an alias may be shared"
        );
        zones.forget(&web.endpoint);
        assert_eq!(zones.lookup(&[front], "web"), None);
    }
}
