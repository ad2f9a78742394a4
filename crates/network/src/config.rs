//! What the engine tells this crate at start.

use crate::port_driver::PortDriver;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::RunLayout;
use netd::proto::Listen;
use std::{ffi::OsString, fmt, io, net::IpAddr, os::fd::OwnedFd, path::PathBuf, sync::Arc};

/// Everything [`crate::Networks::open`] needs. Built from `daemon.json`, flags and environment by the engine.
#[derive(Debug)]
pub struct Config {
    pub run: RunLayout,
    /// The router namespace: a path such as `/proc/<holder>/ns/net` that stays valid while the engine lives.
    pub router: PathBuf,
    pub bridge: DefaultBridge,
    /// `default-address-pools`; empty means Docker's ([`crate::pools::docker_defaults`]).
    pub address_pools: Vec<AddressPool>,
    pub outward: OutwardConfig,
    /// How to start the forwarder: a program and its leading arguments, such as `/proc/self/fd/9` and `netd`.
    pub netd: Program,
    /// How to start an uplink, likewise.
    pub uplink: Program,
    /// Sockets that socket activation passed in; a published port whose address one of them is bound to uses it.
    pub inherited: Vec<OwnedFd>,
    /// Who does what takes the host's user namespace; without one, that cannot be done.
    pub launcher: Option<Arc<dyn Launcher>>,
}

/// A process in the host's user namespace, where capabilities of files and setuid programs count.
pub trait Launcher: fmt::Debug + Send + Sync {
    /// Binds a port that takes privilege.
    fn bind(&self, listen: Listen) -> io::Result<OwnedFd>;

    /// Has an interface on the host's bridge made in the network namespace of this process of ours.
    fn attach(&self, pid: u32, interface: &str) -> io::Result<()>;
}

/// `ipv6`, `bip6`, `fixed-cidr-v6`: the network `bridge` has IPv6.
#[derive(Debug, Clone, Default)]
pub struct DefaultBridgeV6 {
    /// Address and prefix of the bridge itself.
    pub bip: Option<Ipv6Net>,
    /// With `bip`, the part of its subnet that containers get addresses of; without, the subnet.
    pub fixed_cidr: Option<Ipv6Net>,
}

/// `bip`, `fixed-cidr`, `default-gateway`, `mtu`, `icc`, `ip`: what dockerd's options say about the network `bridge`.
#[derive(Debug, Clone)]
pub struct DefaultBridge {
    /// False is `--bridge=none`: the network `bridge` does not exist.
    pub enabled: bool,
    /// Address and prefix of the bridge itself; Docker's default is the first free of the address pools, in practice
    /// 172.17.0.1/16.
    pub bip: Option<Ipv4Net>,
    pub fixed_cidr: Option<Ipv4Net>,
    pub default_gateway: Option<std::net::Ipv4Addr>,
    /// None without IPv6, as is Docker's default.
    pub ipv6: Option<DefaultBridgeV6>,
    /// MTU of the network `bridge`; Docker's default is 1500.
    pub mtu: u32,
    /// Whether containers on it may talk to each other.
    pub icc: bool,
    /// Host address for published ports that name none; none means every address, v4 and v6.
    pub host_ip: Option<IpAddr>,
}

impl Default for DefaultBridge {
    fn default() -> Self {
        Self {
            enabled: true,
            bip: None,
            fixed_cidr: None,
            default_gateway: None,
            ipv6: None,
            mtu: 1500,
            icc: true,
            host_ip: None,
        }
    }
}

/// One entry of `default-address-pools`: networks of prefix length `size` are cut out of `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    pub base: IpNet,
    pub size: u8,
}

/// How packets leave the router namespace (`--net` and its friends).
#[derive(Debug, Clone)]
pub struct OutwardConfig {
    pub driver: OutwardChoice,
    /// MTU of the link between the router namespace and the host; none for what suits the driver.
    pub mtu: Option<u32>,
    /// Keeps containers from the host's own 127.0.0.1 (`DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK`).
    pub disable_host_loopback: bool,
    pub slirp4netns_sandbox: Toggle,
    pub slirp4netns_seccomp: Toggle,
    /// Give the link IPv6 too, where the driver can.
    pub ipv6: bool,
    /// Who listens on the host for published ports.
    pub port_driver: PortDriver,
}

/// RootlessKit's default for drivers that take as much.
pub(crate) const LARGE_MTU: u32 = 65_520;

impl Default for OutwardConfig {
    fn default() -> Self {
        Self {
            driver: OutwardChoice::Auto,
            mtu: None,
            disable_host_loopback: true,
            slirp4netns_sandbox: Toggle::Auto,
            slirp4netns_seccomp: Toggle::Auto,
            ipv6: false,
            port_driver: PortDriver::default(),
        }
    }
}

/// `--net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutwardChoice {
    /// The first that works of Lichen's own, slirp4netns, pasta and vpnkit, else none with a warning.
    Auto,
    /// The forwarder itself: sockets on both sides.
    Lichen,
    Slirp4netns,
    Pasta,
    Vpnkit,
    /// gvisor-tap-vsock, by its program gvproxy.
    Gvisor,
    /// An interface on a bridge of the host's, by the setuid program of LXC.
    LxcUserNic,
    /// Containers reach each other and are reached by published ports, and reach nothing else.
    None,
}

/// `true`, `false` or `auto`, as RootlessKit's options have it; `auto` turns a protection on where it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toggle {
    Auto,
    On,
    Off,
}

/// A program and its leading arguments.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<OsString>,
}

impl OutwardChoice {
    /// As `--net` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Lichen => "lichen",
            Self::Slirp4netns => "slirp4netns",
            Self::Pasta => "pasta",
            Self::Vpnkit => "vpnkit",
            Self::Gvisor => "gvisor-tap-vsock",
            Self::LxcUserNic => "lxc-user-nic",
            Self::None => "none",
        }
    }

    pub(crate) fn may_be_lichen(self) -> bool {
        matches!(self, Self::Auto | Self::Lichen)
    }
}

impl std::str::FromStr for OutwardChoice {
    type Err = crate::Error;
    fn from_str(text: &str) -> Result<Self, crate::Error> {
        match text {
            "auto" | "" => Ok(Self::Auto),
            "lichen" => Ok(Self::Lichen),
            "slirp4netns" => Ok(Self::Slirp4netns),
            "pasta" => Ok(Self::Pasta),
            "vpnkit" => Ok(Self::Vpnkit),
            "gvisor-tap-vsock" => Ok(Self::Gvisor),
            "lxc-user-nic" => Ok(Self::LxcUserNic),
            "none" => Ok(Self::None),
            other => Err(crate::Error::UnknownOutward { name: other.to_owned() }),
        }
    }
}

impl std::str::FromStr for Toggle {
    type Err = crate::Error;
    fn from_str(text: &str) -> Result<Self, crate::Error> {
        match text {
            "auto" | "" => Ok(Self::Auto),
            "true" => Ok(Self::On),
            "false" => Ok(Self::Off),
            other => Err(crate::Error::InvalidToggle { value: other.to_owned() }),
        }
    }
}
