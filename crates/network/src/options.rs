//! `com.docker.network.*`: the options of bridge networks and of endpoints.

use crate::error::{Error, Result};
use std::{collections::BTreeMap, net::IpAddr};

pub(crate) const NAME: &str = "com.docker.network.bridge.name";
pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
pub(crate) const ICC: &str = "com.docker.network.bridge.enable_icc";
pub(crate) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(crate) const HOST_IP: &str = "com.docker.network.bridge.host_binding_ipv4";
pub(crate) const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";
const GATEWAY_MODES: [&str; 2] =
    ["com.docker.network.bridge.gateway_mode_ipv4", "com.docker.network.bridge.gateway_mode_ipv6"];
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
    /// Keys that mean nothing to this driver. Docker keeps them too; whoever asked is told.
    pub unknown: Vec<String>,
}

impl BridgeOptions {
    /// Reads the options of a request or a record.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], and [`Error::Unsupported`] for gateway modes other than `nat`: routing from the host to
    /// a container needs privileges there.
    pub fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut parsed = Self {
            bridge: None,
            mtu: 1500,
            icc: true,
            masquerade: true,
            host_ip: None,
            interface_prefix: "eth".into(),
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
                mode if GATEWAY_MODES.contains(&mode) && matches!(value.as_str(), "nat" | "") => {}
                INHIBIT => return Err(unsupported(key, value)),
                mode if GATEWAY_MODES.contains(&mode) => return Err(unsupported(key, value)),
                unknown => parsed.unknown.push(unknown.to_owned()),
            }
        }
        Ok(parsed)
    }
}

/// The interface name that an endpoint's options ask for.
pub(crate) fn endpoint_interface(options: &BTreeMap<String, String>) -> Result<Option<String>> {
    let mut name = None;
    for (key, value) in options {
        match key.as_str() {
            ENDPOINT_IFNAME => name = Some(interface_name(key, value)?),
            ENDPOINT_SYSCTLS => return Err(unsupported(key, value)),
            _ => return Err(Error::UnknownOption { key: key.clone() }),
        }
    }
    Ok(name)
}

fn unsupported(key: &str, value: &str) -> Error {
    Error::Unsupported {
        what: format!("network option {key}={value}"),
        why: "the router namespace is Lichen's own",
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
            (GATEWAY_MODES[0], "routed"),
            (INHIBIT, "true"),
        ] {
            assert!(parse(&[(key, value)]).is_err(), "{key}={value}");
        }
    }
}
