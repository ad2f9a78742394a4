//! What the engine asks for. Texts that users type stay texts here; this crate validates them with Docker's words.

use crate::{
    mac::MacAddr,
    record::{Endpoint, PublishedPort},
};
use ipnet::IpNet;
use model::Id;
use netd::proto::Protocol;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
};

/// `POST /networks/create`, as the client sent it.
#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    pub name: String,
    /// Empty means `bridge`.
    pub driver: String,
    /// Empty or `local`; `swarm` and `global` are refused.
    pub scope: String,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    /// It is only to be copied.
    pub config_only: bool,
    /// The name of one to copy.
    pub config_from: Option<String>,
    /// None means yes.
    pub enable_ipv4: Option<bool>,
    /// None means no.
    pub enable_ipv6: Option<bool>,
    /// Empty means `default`.
    pub ipam_driver: String,
    pub ipam_options: BTreeMap<String, String>,
    pub pools: Vec<NewPool>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// One entry of `IPAM.Config`; empty texts are absent ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPool {
    pub subnet: String,
    pub ip_range: String,
    pub gateway: String,
    pub aux: BTreeMap<String, String>,
}

/// A container's wish to be on a network (`EndpointSettings`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointRequest {
    /// Name, ID, or unambiguous ID prefix.
    pub network: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub mac: Option<MacAddr>,
    /// Further addresses of the interface, which no subnet has (`--link-local-ip`).
    pub link_local: Vec<IpAddr>,
    pub aliases: Vec<String>,
    /// `container:alias`.
    pub links: Vec<String>,
    pub driver_options: BTreeMap<String, String>,
    /// The endpoint with the highest one holds the default route (`GwPriority`).
    pub gateway_priority: i64,
}

/// One entry of `HostConfig.PortBindings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    pub protocol: Protocol,
    pub container_port: u16,
    /// None means every host address, IPv4 and IPv6 (or the daemon's `--ip`).
    pub host_ip: Option<IpAddr>,
    pub host_ports: HostPorts,
}

/// Which host port a published port may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPorts {
    /// Any free one of the ephemeral range.
    Ephemeral,
    /// The first free one from `first` to `last`; the two are equal for `-p 8080:80`.
    Range { first: u16, last: u16 },
}

/// What [`crate::Networks::start`] builds.
#[derive(Debug, Clone)]
pub struct SandboxRequest {
    pub container: Id,
    /// Without the leading slash.
    pub container_name: String,
    /// `--hostname`: a name of its own on networks where containers find each other by name.
    pub hostname: String,
    /// In the order the interfaces are to have; empty for `--network none`.
    pub endpoints: Vec<EndpointRequest>,
    pub ports: Vec<PortRequest>,
    /// `--dns`: whom the resolver at 127.0.0.11 asks about what is no container's name; empty means the host's servers.
    pub dns_servers: Vec<IpAddr>,
    /// Whether the options for resolv.conf name `ndots`.
    pub ndots_chosen: bool,
    /// The container connects to the world by sockets of the host's, but for these subnets.
    pub bypass: Option<Vec<IpNet>>,
}

/// A container's network, ready for its first process.
#[derive(Debug)]
pub struct Sandbox {
    /// The network namespace; it lives as long as this, a process in it, or the container's being started.
    pub netns: OwnedFd,
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<PublishedPort>,
}
