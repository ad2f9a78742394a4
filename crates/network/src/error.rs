//! What can go wrong, in Docker's words where clients read them.

use ipnet::IpNet;
use model::ErrorKind;
use netd::proto::Protocol;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    // Requests.
    #[error("network {name} not found")]
    NotFound { name: String },
    #[error("network {prefix} is ambiguous ({matches} matches found on ID prefix)")]
    Ambiguous { prefix: String, matches: usize },
    #[error("network with name {name} already exists")]
    Exists { name: String },
    #[error("invalid network name \"{name}\": {reason}")]
    InvalidName { name: String, reason: &'static str },
    #[error("operation is not permitted on predefined {name} network ")]
    Predefined { name: String },
    #[error("{name} is a pre-defined network and cannot be removed")]
    RemovePredefined { name: String },
    #[error("error while removing network: network {name} id {id} has active endpoints ({endpoints})")]
    InUse { name: String, id: String, endpoints: String },
    #[error("could not find plugin {driver} in v1 plugin registry: plugin not found")]
    UnknownDriver { driver: String },
    #[error("only one instance of \"{driver}\" network is allowed")]
    Single { driver: &'static str },
    #[error("could not find IPAM plugin {driver} in v1 plugin registry: plugin not found")]
    UnknownIpamDriver { driver: String },
    #[error("write where a container may connect to, {path}: {source}", path = path.display())]
    Bypass { path: PathBuf, source: io::Error },
    #[error("{what} is not supported by Lichen: {why}")]
    Unsupported { what: String, why: &'static str },
    #[error("{0}")]
    Configuration(#[from] crate::configuration::Refusal),
    #[error(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."
    )]
    NotSwarm,
    #[error("invalid network config:\n{0}")]
    InvalidIpam(String),
    #[error("invalid option {key}={value}: {expected}")]
    InvalidOption { key: String, value: String, expected: &'static str },
    #[error("requested {what} '{value}' is not valid, {default} driver default")]
    InvalidLanOption { what: &'static str, value: String, default: &'static str },
    #[error("loopback interface is not a valid {driver} parent link")]
    LoopbackParent { driver: &'static str },
    #[error(
        "the requested parent interface {parent} was not found in the engine's network namespace (it has {there}); the host's own interfaces are out of an unprivileged user's reach"
    )]
    NoParent { parent: String, there: String },
    #[error("network {network} is already using parent interface {parent}")]
    ParentInUse { network: String, parent: String },
    #[error("ipvlan interfaces do not support custom MAC address assignment")]
    IpvlanMac,
    #[error(
        "the kernel has no {driver} interfaces: load the module {driver}, or choose another network driver"
    )]
    NoKernelDriver { driver: &'static str },
    #[error("the interface {name} is no bridge: choose another name by com.docker.network.bridge.name")]
    NotABridge { name: String },
    #[error("bridge driver doesn't support multiple subnets")]
    MultipleSubnets,
    #[error("gateway mode 'isolated' can only be used for an internal network")]
    IsolatedNotInternal,
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap { subnet: IpNet, with: String },
    #[error("all predefined address pools have been fully subnetted")]
    PoolsExhausted,
    #[error("no available IPv{version} addresses on this network's address pools: {network} ({id})", version = if *v6 { 6 } else { 4 })]
    NoAddress { network: String, id: String, v6: bool },
    #[error("Address already in use")]
    AddressInUse { address: IpAddr },
    #[error("failed to allocate gateway ({address}): Address already in use")]
    GatewayInUse { address: IpAddr },
    #[error("failed to allocate secondary ip address ({name}:{address}): Address already in use")]
    AuxiliaryInUse { name: String, address: IpAddr },
    #[error("invalid endpoint settings:\n{0}")]
    InvalidEndpoint(String),
    #[error("user specified IP address is supported on user defined networks only")]
    StaticOnDefault,
    #[error("network-scoped aliases are only supported for user-defined networks")]
    AliasesOnDefault,
    #[error("endpoint with name {container} already exists in network {network}")]
    AlreadyConnected { container: String, network: String },
    #[error("container {container} is not connected to network {network}")]
    NotConnected { container: String, network: String },
    #[error("container {container} has no network sandbox: it is not running")]
    NoSandbox { container: String },
    #[error("{operation} cannot be used on a container with {mode} network mode")]
    ModeConflict { operation: &'static str, mode: &'static str },

    // Ports.
    #[error("driver failed programming external connectivity on endpoint {name} ({endpoint}): {source}")]
    Ports { name: String, endpoint: String, source: Box<PortError> },

    // The host.
    #[error(
        "unknown network driver {name:?}: choose auto, lichen, slirp4netns, pasta, vpnkit, gvisor-tap-vsock, lxc-user-nic or none"
    )]
    UnknownOutward { name: String },
    #[error("unknown port driver {name:?}: choose auto, lichen (or builtin), slirp4netns or implicit")]
    UnknownPortDriver { name: String },
    #[error("port driver {port_driver} needs --net={needed}, not {net}")]
    PortDriver { port_driver: &'static str, needed: &'static str, net: &'static str },
    #[error("invalid value {value:?}: expected true, false or auto")]
    InvalidToggle { value: String },
    #[error("{driver}: {reason}")]
    Outward { driver: &'static str, reason: OutwardError },
    #[error("{operation}: {source}")]
    Netlink { operation: String, source: io::Error },
    #[error("{operation} {path}: {source}", path = path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{operation}: {source}")]
    Namespace { operation: &'static str, source: io::Error },
    #[error("forwarder: {0}")]
    Netd(#[from] netd::client::Error),
    #[error("start the forwarder {program}: {source}", program = program.display())]
    StartNetd { program: PathBuf, source: io::Error },
    #[error("{0}")]
    Store(#[from] store::Error),
    /// Every step of a tear-down that failed; the others were done.
    #[error("tear down the network of {what}: {}", join(.errors))]
    TearDown { what: String, errors: Vec<Error> },
}

/// Why a port could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another container has it.
    #[error("Bind for {address} failed: port is already allocated")]
    Allocated { address: SocketAddr, protocol: Protocol },
    /// Another program has it, or the kernel refuses.
    #[error("failed to bind port {address}/{protocol}: listen {protocol}{family} {address}: bind: {text}", family = family(.address))]
    Bind { address: SocketAddr, protocol: Protocol, text: String, in_use: bool },
    /// SPEC: "Privileged ports".
    #[error("cannot expose privileged port {port}, you can add 'net.ipv4.ip_unprivileged_port_start={port}' to /etc/sysctl.conf (currently {start}), or set CAP_NET_BIND_SERVICE on the lichen binary, or choose a larger port number (>= {start}): listen {protocol}{family} {address}: bind: permission denied", port = .address.port(), family = family(.address))]
    Privileged { address: SocketAddr, protocol: Protocol, start: u32 },
    #[error("all ports from {first} to {last} are already allocated")]
    RangeTaken { first: u16, last: u16 },
    #[error("no free port in the ephemeral range {first}-{last}")]
    NoEphemeral { first: u16, last: u16 },
    #[error("{protocol} ports cannot be published: {why}")]
    Protocol { protocol: Protocol, why: &'static str },
    #[error("{0}")]
    Netd(#[from] netd::client::Error),
    #[error("cannot publish on {host}: the container has no IPv{} address", if .host.is_ipv4() { 4 } else { 6 })]
    NoFamily { host: IpAddr },
}

/// Why a driver for outward connectivity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutwardError {
    #[error("{program} not found in $PATH: install {packages}; or choose another driver with --net")]
    NotInstalled {
        program: &'static str,
        /// By package manager.
        packages: &'static str,
    },
    #[error("run {program}: {source}", program = program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("version {found:?} is too old: {needed} or later is needed{purpose}")]
    TooOld { found: String, needed: &'static str, purpose: &'static str },
    #[error(
        "cannot open /dev/net/tun: {source}: it must be readable and writable by you: `sudo chmod 0666 /dev/net/tun` (and `sudo modprobe tun` where it is missing)"
    )]
    Tun { source: io::Error },
    #[error("{reason}, or choose another driver with --net")]
    Kernel { reason: String },
    #[error("it stopped while starting: {output}")]
    Died { output: String },
    #[error("it was not ready within {seconds} s: {output}")]
    Late { seconds: u64, output: String },
    #[error("{step}: {source}")]
    Step { step: &'static str, source: Box<Error> },
    #[error(
        "no interface on the host's bridge: {source} (is there a line `USER veth BRIDGE 10` for you in /etc/lxc/lxc-usernet, and is the bridge up? --lxc-user-nic-bridge chooses another than lxcbr0)"
    )]
    Attach { source: io::Error },
    #[error("{program} is not setuid root: install the package again, or `sudo chmod u+s` it", program = program.display())]
    NotSetuid { program: PathBuf },
    #[error("only a launcher outside the user namespace can run it, and there is none")]
    NoLauncher,
}

fn family(address: &SocketAddr) -> u8 {
    if address.is_ipv4() { 4 } else { 6 }
}

fn join(errors: &[Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// The class the API maps to a status.
    pub fn kind(&self) -> ErrorKind {
        use ErrorKind as K;
        match self {
            Self::NotFound { .. } => K::NotFound,
            Self::Configuration(refusal) => refusal.kind(),
            Self::Ambiguous { .. }
            | Self::InvalidName { .. }
            | Self::InvalidIpam(_)
            | Self::InvalidOption { .. }
            | Self::InvalidLanOption { .. }
            | Self::LoopbackParent { .. }
            | Self::NoParent { .. }
            | Self::NotABridge { .. }
            | Self::IpvlanMac
            | Self::IsolatedNotInternal
            | Self::InvalidEndpoint(_)
            | Self::StaticOnDefault
            | Self::AliasesOnDefault
            | Self::UnknownOutward { .. }
            | Self::UnknownPortDriver { .. }
            | Self::PortDriver { .. }
            | Self::InvalidToggle { .. }
            | Self::NoAddress { .. } => K::InvalidParameter,
            Self::Exists { .. } | Self::ModeConflict { .. } | Self::NoSandbox { .. } => K::Conflict,
            Self::Predefined { .. }
            | Self::RemovePredefined { .. }
            | Self::InUse { .. }
            | Self::AlreadyConnected { .. }
            | Self::Single { .. }
            | Self::ParentInUse { .. }
            | Self::MultipleSubnets
            | Self::Overlap { .. } => K::Forbidden,
            Self::UnknownDriver { .. } | Self::UnknownIpamDriver { .. } => K::NotFound,
            Self::Unsupported { .. } | Self::NoKernelDriver { .. } => K::NotImplemented,
            Self::NotSwarm | Self::Outward { .. } => K::Unavailable,
            // moby answers 500 for these, and clients match on the text.
            Self::PoolsExhausted
            | Self::AddressInUse { .. }
            | Self::GatewayInUse { .. }
            | Self::AuxiliaryInUse { .. }
            | Self::NotConnected { .. }
            | Self::Ports { .. } => K::System,
            Self::Netlink { .. }
            | Self::File { .. }
            | Self::Namespace { .. }
            | Self::Bypass { .. }
            | Self::Netd(_)
            | Self::StartNetd { .. }
            | Self::Store(_)
            | Self::TearDown { .. } => K::System,
        }
    }
}
