//! `com.docker.network.*`: the options of bridge networks and of endpoints.

use crate::error::{Error, Result};
use std::{collections::BTreeMap, net::IpAddr};

pub(crate) const NAME: &str = "com.docker.network.bridge.name";
pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
pub(crate) const ICC: &str = "com.docker.network.bridge.enable_icc";
pub(crate) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(crate) const HOST_IP: &str = "com.docker.network.bridge.host_binding_ipv4";
pub(crate) const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
pub(crate) const PREFIX: &str = "com.docker.network.container_iface_prefix";
const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";
const GATEWAY_MODE_V4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const GATEWAY_MODE_V6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
/// Replaced long ago by fields of the request, and still sent by some clients.
const IPV6: &str = "com.docker.network.enable_ipv6";
const INTERNAL: &str = "com.docker.network.internal";

/// The name of an endpoint's interface inside the container (since API 1.48).
pub(crate) const ENDPOINT_IFNAME: &str = "com.docker.network.endpoint.ifname";
const ENDPOINT_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// What a bridge network's options come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeOptions {
    /// The bridge's name, where one is asked for.
    pub bridge: Option<String>,
    pub mtu: u32,
    /// Whether containers on the network may talk to each other.
    pub icc: bool,
    /// Whether they get out. (Without masquerading nothing outside could answer a private address.)
    pub masquerade: bool,
    /// Host address for published ports that name none.
    pub host_ip: Option<IpAddr>,
    /// `eth` unless asked otherwise.
    pub interface_prefix: String,
    /// The bridge has no address of IPv4, or of IPv6: not even the router is reached (gateway mode `isolated`).
    pub isolated: Isolated,
    /// Keys that mean nothing to this driver. Docker keeps them too; whoever asked is told.
    pub unknown: Vec<String>,
}

/// The families in which a bridge has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Isolated {
    pub v4: bool,
    pub v6: bool,
}

impl BridgeOptions {
    /// Reads the options of a request or a record.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], and [`Error::Unsupported`] for gateway modes that have the host route to containers:
    /// that needs privileges there.
    pub fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut parsed = Self {
            bridge: None,
            mtu: 1500,
            icc: true,
            masquerade: true,
            host_ip: None,
            interface_prefix: "eth".into(),
            isolated: Isolated::default(),
            unknown: Vec::new(),
        };
        for (key, value) in options {
            match key.as_str() {
                NAME => parsed.bridge = Some(interface_name(key, value)?),
                MTU => parsed.mtu = mtu(key, value)?,
                ICC => parsed.icc = boolean(key, value)?,
                MASQUERADE => parsed.masquerade = boolean(key, value)?,
                HOST_IP => parsed.host_ip = Some(address(key, value)?),
                PREFIX => parsed.interface_prefix = interface_name(key, value)?,
                DEFAULT_BRIDGE | IPV6 | INTERNAL => drop(boolean(key, value)?),
                INHIBIT if !boolean(key, value)? => {}
                INHIBIT => return Err(unsupported(key, value)),
                GATEWAY_MODE_V4 => parsed.isolated.v4 = is_isolated(key, value)?,
                GATEWAY_MODE_V6 => parsed.isolated.v6 = is_isolated(key, value)?,
                unknown => parsed.unknown.push(unknown.to_owned()),
            }
        }
        Ok(parsed)
    }
}

/// The interface name that an endpoint's options ask for. Options that no driver knows are kept and mean nothing, as in
/// Docker.
pub(crate) fn endpoint_interface(options: &BTreeMap<String, String>) -> Result<Option<String>> {
    options.get(ENDPOINT_IFNAME).map(|value| interface_name(ENDPOINT_IFNAME, value)).transpose()
}

/// A setting of an endpoint's interface: `conf.IFNAME.forwarding=1` of `ipv4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sysctl {
    family: String,
    directory: String,
    setting: String,
    pub value: String,
}

impl Sysctl {
    /// Where it is below `/proc/sys/net`.
    pub(crate) fn key(&self, interface: &str) -> String {
        format!("{}/{}/{interface}/{}", self.family, self.directory, self.setting)
    }

    /// From `net.ipv4.conf.IFNAME.forwarding=1`; moby's rule (`daemon/container_operations.go`), and no component can
    /// lead out of its directory.
    fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once('=')?;
        let mut parts = name.splitn(5, '.');
        let mut next = || parts.next();
        let (net, family, directory, interface, setting) = (next()?, next()?, next()?, next()?, next()?);
        let plain = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let fits = net == "net"
            && matches!(family, "ipv4" | "ipv6" | "mpls")
            && matches!(interface, "IFNAME" | "ifname")
            && plain(directory)
            && plain(setting);
        fits.then(|| Self {
            family: family.to_owned(),
            directory: directory.to_owned(),
            setting: setting.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// The settings that an endpoint's options ask for.
pub(crate) fn endpoint_sysctls(options: &BTreeMap<String, String>) -> Result<Vec<Sysctl>> {
    let list = options.get(ENDPOINT_SYSCTLS).map_or("", String::as_str);
    let parse = |text: &str| {
        Sysctl::parse(text).ok_or_else(|| {
            Error::InvalidEndpoint(format!(
                "unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', \
                 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            ))
        })
    };
    list.split(',').filter(|text| !text.is_empty()).map(parse).collect()
}

/// Whether a gateway mode is `isolated`; `nat` is the other one there is.
fn is_isolated(key: &str, value: &str) -> Result<bool> {
    match value {
        "" | "nat" => Ok(false),
        "isolated" => Ok(true),
        "routed" | "nat-unprotected" => Err(unsupported(key, value)),
        _ => Err(invalid(key, value, "expected nat or isolated")),
    }
}

fn unsupported(key: &str, value: &str) -> Error {
    Error::Unsupported {
        what: format!("network option {key}={value}"),
        why: "the host has no routes to containers, and an unprivileged user cannot add them",
    }
}

fn invalid(key: &str, value: &str, expected: &'static str) -> Error {
    Error::InvalidOption { key: key.to_owned(), value: value.to_owned(), expected }
}

/// As Go's `strconv.ParseBool` reads it.
fn boolean(key: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(invalid(key, value, "expected true or false")),
    }
}

/// The kernel's bounds for a veth pair (`ETH_MIN_MTU`, `ETH_MAX_MTU`); 0 means the default.
fn mtu(key: &str, value: &str) -> Result<u32> {
    match value.parse() {
        Ok(0) => Ok(1500),
        Ok(mtu @ 68..=65_535) => Ok(mtu),
        _ => Err(invalid(key, value, "expected a number from 68 to 65535")),
    }
}

fn address(key: &str, value: &str) -> Result<IpAddr> {
    value.parse().map_err(|_| invalid(key, value, "expected an IP address"))
}

/// `dev_valid_name` of the kernel: 1 to 15 bytes, no slash, colon or white space, not `.` or `..`.
fn interface_name(key: &str, value: &str) -> Result<String> {
    let fits = (1..=15).contains(&value.len()) && value != "." && value != "..";
    if fits
        && !value.bytes().any(|b| b == b'/' || b == b':' || b.is_ascii_whitespace() || b == 0 || b == b'%')
    {
        Ok(value.to_owned())
    } else {
        Err(invalid(key, value, "expected an interface name of 1 to 15 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<BridgeOptions> {
        BridgeOptions::parse(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn options_are_read() {
        let options =
            parse(&[(NAME, "br-test"), (MTU, "9000"), (ICC, "false"), (HOST_IP, "127.0.0.1")]).unwrap();
        assert_eq!(options.bridge.as_deref(), Some("br-test"));
        assert_eq!((options.mtu, options.icc, options.masquerade), (9000, false, true));
        assert_eq!(options.host_ip, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(parse(&[("colour", "green")]).unwrap().unknown, ["colour"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (key, value) in [
            (NAME, "a/b"),
            (NAME, "sixteen-letters-"),
            (MTU, "67"),
            (MTU, "many"),
            (ICC, "yes"),
            (HOST_IP, "localhost"),
            (GATEWAY_MODE_V4, "routed"),
            (GATEWAY_MODE_V6, "open"),
            (INHIBIT, "true"),
        ] {
            assert!(parse(&[(key, value)]).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn settings_of_an_interface_name_it_ifname() {
        let of =
            |text: &str| endpoint_sysctls(&BTreeMap::from([(ENDPOINT_SYSCTLS.to_owned(), text.to_owned())]));
        let two = of("net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.ifname.gc_stale_time=30").unwrap();
        assert_eq!(two[0].key("eth0"), "ipv4/conf/eth0/log_martians");
        assert_eq!(
            (two[1].key("eth1").as_str(), two[1].value.as_str()),
            ("ipv6/neigh/eth1/gc_stale_time", "30")
        );
        for bad in [
            "net.ipv4.conf.eth0.forwarding=1",
            "net.ipv4.conf.IFNAME.forwarding",
            "net.core.conf.IFNAME.x=1",
            "net.ipv4.conf.IFNAME.../../kernel/x=1",
            "net.ipv4...IFNAME.x=1",
        ] {
            let error = of(bad).unwrap_err().to_string();
            assert!(error.contains("unrecognised network interface sysctl"), "{error}");
        }
    }
}
