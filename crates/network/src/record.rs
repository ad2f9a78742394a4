//! What is stored: networks, and the sandboxes of running containers.

use crate::mac::MacAddr;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::{Id, Timestamp};
use netd::proto::Protocol;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A network. Built by [`crate::Networks::create`] from a validated [`crate::NewNetwork`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub id: Id,
    pub name: String,
    pub created: Timestamp,
    pub driver: Driver,
    pub internal: bool,
    pub attachable: bool,
    pub ipv4: bool,
    pub ipv6: bool,
    /// One per subnet, IPv4 first; empty for `host` and `none`.
    pub pools: Vec<Pool>,
    pub ipam_options: BTreeMap<String, String>,
    /// As given, for `inspect`; what they mean is in [`crate::options::BridgeOptions`].
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Name of the bridge in the router namespace, or of the parent interface of a macvlan or ipvlan network; empty for
    /// `host` and `none`.
    pub bridge: String,
    /// It is nothing but settings for others to copy; containers cannot be on it.
    #[serde(default)]
    pub config_only: bool,
    /// Where its settings were copied from; empty when they are its own.
    #[serde(default)]
    pub config_from: String,
    /// The pools that others are to have, as asked for.
    #[serde(default)]
    pub config_pools: Vec<crate::NewPool>,
}

impl Network {
    /// `bridge`, `host` and `none` exist always and cannot be removed.
    pub fn is_predefined(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// Whether it has no purpose while no container is on it. Configurations are nobody's to be on.
    pub fn is_for_containers(&self) -> bool {
        !self.is_predefined() && !self.config_only
    }

    /// Containers of a user-defined network find each other by name; those of the network `bridge` do not.
    pub fn is_user_defined(&self) -> bool {
        self.driver.has_endpoints() && !self.is_predefined()
    }

    /// Whether one of the subnets has `address`.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.pools.iter().any(|pool| pool.subnet.contains(&address))
    }
}

/// The kinds of network; the names are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Bridge,
    Macvlan,
    Ipvlan,
    Host,
    Null,
}

impl Driver {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Host => "host",
            Self::Null => "null",
        }
    }

    /// Whether containers have interfaces of their own on such a network.
    pub fn has_endpoints(self) -> bool {
        match self {
            Self::Bridge | Self::Macvlan | Self::Ipvlan => true,
            Self::Host | Self::Null => false,
        }
    }
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its host bits are zero.
    pub subnet: IpNet,
    /// Where addresses are taken from when none is asked for; within `subnet`.
    pub ip_range: Option<IpNet>,
    /// Always there on a bridge, whose own address it is; on macvlan and ipvlan only where one was asked for.
    pub gateway: Option<IpAddr>,
    /// Addresses that are never given out, by the name the user gave them.
    pub aux: BTreeMap<String, IpAddr>,
}

/// A container's place on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: Id,
    pub network: Id,
    pub network_name: String,
    /// The interface inside the container, `eth0` and so on.
    pub interface: String,
    /// Its peer in the router namespace; empty for macvlan and ipvlan, whose interfaces have none.
    pub host_interface: String,
    /// None on ipvlan, where all have the parent's.
    pub mac: Option<MacAddr>,
    pub ipv4: Option<Ipv4Net>,
    pub ipv6: Option<Ipv6Net>,
    /// Further addresses, which nobody gave out.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// The default routes lead out of the interface without a gateway (ipvlan in its layer 3 modes).
    #[serde(default)]
    pub on_link: bool,
    /// None on an internal network.
    pub gateway_v4: Option<Ipv4Addr>,
    pub gateway_v6: Option<Ipv6Addr>,
    /// Aliases as asked for.
    pub aliases: Vec<String>,
    /// `container:alias` pairs as asked for.
    pub links: Vec<String>,
    /// Every name this container answers to on the network: its own, its short ID, its aliases.
    pub dns_names: Vec<String>,
    pub driver_options: BTreeMap<String, String>,
    pub gateway_priority: i64,
}

impl Endpoint {
    /// Whether the interface is one end of a veth pair with the other on a bridge.
    pub fn is_bridged(&self) -> bool {
        !self.host_interface.is_empty()
    }

    /// Whether the default route for IPv4 can be this endpoint's.
    pub(crate) fn leads_out_v4(&self) -> bool {
        self.gateway_v4.is_some() || (self.on_link && self.ipv4.is_some())
    }

    /// Whether the default route for IPv6 can be this endpoint's.
    pub(crate) fn leads_out_v6(&self) -> bool {
        self.gateway_v6.is_some() || (self.on_link && self.ipv6.is_some())
    }
}

/// One published port as it came out: `0.0.0.0:49153` leads to the container's port 80.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    pub protocol: Protocol,
    pub container_port: u16,
    pub host_ip: IpAddr,
    pub host_port: u16,
}

/// What is kept of a running container's sandbox, so that a restarted engine can adopt it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub container: Id,
    pub container_name: String,
    #[serde(default)]
    pub hostname: String,
    /// The namespace's inode number in nsfs, which tells it from every other living one (ioctl_nsfs(2)).
    pub netns_inode: u64,
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<PublishedPort>,
    /// As asked for: the endpoint that carries them can change when networks are connected and disconnected.
    pub port_requests: Vec<crate::PortRequest>,
    /// `--dns`, for the resolver at 127.0.0.11.
    #[serde(default)]
    pub dns_servers: Vec<IpAddr>,
    /// `--dns-option ndots:…`: somebody chose when names without a dot are asked for as they are.
    #[serde(default)]
    pub ndots_chosen: bool,
    /// As in [`crate::SandboxRequest`].
    #[serde(default)]
    pub bypass: Option<Vec<IpNet>>,
    /// The endpoint that is being connected or disconnected at this moment.
    #[serde(default)]
    pub changing: Option<Endpoint>,
}
