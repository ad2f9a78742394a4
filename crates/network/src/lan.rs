//! macvlan and ipvlan: interfaces of containers that share a *parent* interface without a bridge between them.
//!
//! The parent is one of the router namespace's: the host's own interfaces are out of an unprivileged user's reach. Where
//! none is named, the network gets a bridge of its own that nothing else is on, and is internal, as in Docker, which
//! makes a dummy interface (a bridge needs no kernel module that Lichen does not need anyway).

use crate::{
    error::{Error, Result},
    record::{Driver, Network},
    router::BridgePlan,
};
use std::collections::BTreeMap;

const PARENT: &str = "parent";
const MACVLAN_MODE: &str = "macvlan_mode";
const IPVLAN_MODE: &str = "ipvlan_mode";
const IPVLAN_FLAG: &str = "ipvlan_flag";

/// All of them.
pub(crate) const KEYS: [&str; 4] = [PARENT, MACVLAN_MODE, IPVLAN_MODE, IPVLAN_FLAG];

/// What kind of interface the containers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlag),
}

/// Who may talk to whom (`macvlan_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacvlanMode {
    Bridge,
    Private,
    Vepa,
    Passthru,
}

/// On which layer packets are passed on (`ipvlan_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpvlanMode {
    L2,
    L3,
    L3s,
}

/// Who may talk to whom (`ipvlan_flag`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpvlanFlag {
    Bridge,
    Private,
    Vepa,
}

/// What the options of such a network come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// None: a bridge of the network's own.
    pub parent: Option<String>,
    pub kind: Kind,
}

impl Options {
    /// The options of a network of this driver; none for drivers that have no such options.
    ///
    /// # Errors
    /// [`Error::InvalidLanOption`] and [`Error::LoopbackParent`], with moby's texts
    /// (`libnetwork/drivers/{macvlan,ipvlan}/*_network.go`).
    pub(crate) fn parse(driver: Driver, options: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let text = |key: &str| options.get(key).map_or("", String::as_str);
        let kind = match driver {
            Driver::Macvlan => Kind::Macvlan(macvlan_mode(text(MACVLAN_MODE))?),
            Driver::Ipvlan => Kind::Ipvlan(ipvlan_mode(text(IPVLAN_MODE))?, ipvlan_flag(text(IPVLAN_FLAG))?),
            Driver::Bridge | Driver::Host | Driver::Null => return Ok(None),
        };
        let parent = Some(text(PARENT).to_owned()).filter(|name| !name.is_empty());
        if parent.as_deref() == Some("lo") {
            return Err(Error::LoopbackParent { driver: driver.as_str() });
        }
        Ok(Some(Self { parent, kind }))
    }

    /// Whether the default routes lead out of the interface without a gateway.
    pub(crate) fn routes_on_link(&self) -> bool {
        matches!(self.kind, Kind::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _))
    }
}

/// The bridge that stands in for a parent, named after the network as Docker's dummy interface is.
pub(crate) fn own_parent(id: &model::Id) -> String {
    format!("dm-{}", id.short())
}

/// That bridge, where the network has one.
pub(crate) fn parent_plan(network: &Network, options: &Options) -> Option<BridgePlan> {
    options.parent.is_none().then(|| BridgePlan {
        name: network.bridge.clone(),
        mtu: 1500,
        addresses: Vec::new(),
        subnets: network.pools.iter().map(|pool| pool.subnet).collect(),
        outward: false,
        is_parent: true,
    })
}

fn invalid(what: &'static str, value: &str, default: &'static str) -> Error {
    Error::InvalidLanOption { what, value: value.to_owned(), default }
}

fn macvlan_mode(text: &str) -> Result<MacvlanMode> {
    Ok(match text {
        "" | "bridge" => MacvlanMode::Bridge,
        "private" => MacvlanMode::Private,
        "vepa" => MacvlanMode::Vepa,
        "passthru" => MacvlanMode::Passthru,
        other => return Err(invalid("macvlan mode", other, "'bridge' mode is the macvlan")),
    })
}

fn ipvlan_mode(text: &str) -> Result<IpvlanMode> {
    Ok(match text {
        "" | "l2" => IpvlanMode::L2,
        "l3" => IpvlanMode::L3,
        "l3s" => IpvlanMode::L3s,
        other => return Err(invalid("ipvlan mode", other, "'l2' mode is the ipvlan")),
    })
}

fn ipvlan_flag(text: &str) -> Result<IpvlanFlag> {
    Ok(match text {
        "" | "bridge" => IpvlanFlag::Bridge,
        "private" => IpvlanFlag::Private,
        "vepa" => IpvlanFlag::Vepa,
        other => return Err(invalid("ipvlan flag", other, "'bridge' is the ipvlan")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(driver: Driver, pairs: &[(&str, &str)]) -> Result<Option<Options>> {
        let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Options::parse(driver, &options)
    }

    #[test]
    fn modes_are_read_and_have_dockers_defaults() {
        let plain = parse(Driver::Macvlan, &[]).unwrap().unwrap();
        assert_eq!(plain, Options { parent: None, kind: Kind::Macvlan(MacvlanMode::Bridge) });
        let l3 = parse(Driver::Ipvlan, &[("parent", "docker0"), ("ipvlan_mode", "l3")]).unwrap().unwrap();
        assert!(l3.routes_on_link());
        assert_eq!(l3.parent.as_deref(), Some("docker0"));
        assert_eq!(parse(Driver::Bridge, &[("macvlan_mode", "what")]).unwrap(), None);
    }

    #[test]
    fn what_is_not_understood_is_refused_in_dockers_words() {
        for (driver, key, value, text) in [
            (Driver::Macvlan, MACVLAN_MODE, "fast", "requested macvlan mode 'fast' is not valid"),
            (Driver::Ipvlan, IPVLAN_MODE, "l4", "requested ipvlan mode 'l4' is not valid"),
            (Driver::Ipvlan, IPVLAN_FLAG, "open", "requested ipvlan flag 'open' is not valid"),
            (Driver::Ipvlan, PARENT, "lo", "loopback interface is not a valid ipvlan parent link"),
        ] {
            let error = parse(driver, &[(key, value)]).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }
}
