//! What a container asks of crate `network`: endpoints, published ports, names of others.

use crate::{
    Engine, Error,
    container::Record,
    create::{Invalid, validate},
    links::Link,
};
use api_types::{ContainerConfig, EndpointSettings, HostConfig, Map};
use network::{EndpointRequest, HostPorts, MacAddr, PortRequest, Protocol, SandboxRequest};
use std::net::IpAddr;

/// Which network namespace a container runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode<'a> {
    /// The host's own.
    Host,
    /// A new one, with the record's networks; none of them for `none`.
    Own,
    /// Another container's, by ID or name.
    Container(&'a str),
}

impl<'a> Mode<'a> {
    pub(crate) fn of(host: &'a HostConfig) -> Self {
        match host.network_mode.as_str() {
            "host" => Self::Host,
            mode => mode.strip_prefix("container:").map_or(Self::Own, Self::Container),
        }
    }
}

/// What can be known at creation: that endpoints are well-formed and settings do not contradict each other.
/// A network that does not exist is an error of the start, as in Docker.
pub(crate) fn check(
    engine: &Engine,
    config: &ContainerConfig,
    host: &HostConfig,
    networks: &Map<EndpointSettings>,
) -> Result<(), Error> {
    if matches!(Mode::of(host), Mode::Container(_)) {
        check_shared(config, host)?;
    }
    for (name, settings) in networks {
        let request = endpoint(name, settings)?;
        if matches!(name.as_str(), "host" | "none") {
            check_without_endpoint(&request)?;
            continue;
        }
        match engine.networks.check(&request) {
            Ok(_) | Err(network::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What the networks that give no interface cannot give either (moby `validateEndpointSettings`).
fn check_without_endpoint(request: &EndpointRequest) -> Result<(), network::Error> {
    if request.ipv4.is_some() || request.ipv6.is_some() {
        return Err(network::Error::StaticOnDefault);
    }
    if request.aliases.is_empty() { Ok(()) } else { Err(network::Error::AliasesOnDefault) }
}

/// moby `validateNetMode` (`daemon/container_operations_unix.go`, `runconfig`).
fn check_shared(config: &ContainerConfig, host: &HostConfig) -> Result<(), Invalid> {
    let conflicts = [
        (!config.hostname.is_empty(), "hostname and the network mode"),
        (
            !host.links.is_empty(),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (!host.dns.is_empty(), "dns and the network mode"),
        (!host.extra_hosts.is_empty(), "custom host-to-IP mapping and the network mode"),
        (
            !host.port_bindings.is_empty() || host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
        (!config.exposed_ports.is_empty(), "port exposing and the container type network mode"),
    ];
    conflicts.into_iter().find(|(given, _)| *given).map_or(Ok(()), |(_, text)| Err(Invalid::Conflict(text)))
}

fn endpoint(name: &str, settings: &EndpointSettings) -> Result<EndpointRequest, Invalid> {
    let invalid = |reason: String| Invalid::Endpoint { network: name.to_owned(), reason };
    let ipam = settings.ipam_config.clone().unwrap_or_default();
    let address = |text: &str, family: u8| -> Result<Option<IpAddr>, Invalid> {
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = text.parse::<IpAddr>().ok().filter(|a| a.is_ipv4() == (family == 4));
        parsed.map(Some).ok_or_else(|| invalid(format!("invalid IPv{family} address: {text}")))
    };
    let ipv4 = match address(&ipam.ipv4_address, 4)? {
        Some(IpAddr::V4(v4)) => Some(v4),
        _ => None,
    };
    let ipv6 = match address(&ipam.ipv6_address, 6)? {
        Some(IpAddr::V6(v6)) => Some(v6),
        _ => None,
    };
    let mac = match settings.mac_address.as_str() {
        "" => None,
        text => Some(text.parse::<MacAddr>().map_err(|_| invalid(format!("invalid MAC address: {text}")))?),
    };
    let link_local = |text: &String| {
        let parsed = text.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified());
        parsed.ok_or_else(|| invalid(format!("invalid link-local IP address: {text}")))
    };
    let link_local = ipam.link_local_ips.iter().map(link_local).collect::<Result<_, _>>()?;
    Ok(EndpointRequest {
        network: if settings.network_id.is_empty() { name.to_owned() } else { settings.network_id.clone() },
        ipv4,
        ipv6,
        mac,
        link_local,
        aliases: settings.aliases.clone(),
        links: settings.links.clone(),
        driver_options: settings.driver_opts.clone(),
        gateway_priority: settings.gw_priority,
    })
}

/// One endpoint as `connect` asks for it.
pub fn endpoint_request(name: &str, settings: &EndpointSettings) -> Result<EndpointRequest, Error> {
    Ok(endpoint(name, settings)?)
}

/// The sandbox that a start asks for.
pub(crate) fn sandbox(record: &Record) -> Result<SandboxRequest, Error> {
    let mode = record.host_config.network_mode.as_str();
    let disabled = record.config.network_disabled;
    let mut networks: Vec<_> = record
        .networks
        .iter()
        .filter(|(name, _)| !disabled && !matches!(name.as_str(), "none" | "host"))
        .collect();
    // The network mode's interface comes first, the others by name.
    networks.sort_by_key(|(name, _)| (name.as_str() != mode, name.as_str()));
    let endpoints =
        networks.into_iter().map(|(name, settings)| endpoint(name, settings)).collect::<Result<_, _>>()?;
    Ok(SandboxRequest {
        container: record.id.clone(),
        container_name: record.name.clone(),
        hostname: record.config.hostname.clone(),
        endpoints,
        ports: if disabled { Vec::new() } else { ports(record)? },
        dns_servers: Vec::new(),
        ndots_chosen: false,
        bypass: None,
    })
}

fn ports(record: &Record) -> Result<Vec<PortRequest>, Invalid> {
    let host = &record.host_config;
    let mut requests = Vec::new();
    for (port, bindings) in &host.port_bindings {
        for binding in bindings {
            requests.push(port_request(port, &binding.host_ip, &binding.host_port)?);
        }
    }
    if host.publish_all_ports {
        let exposed = record.config.exposed_ports.keys().chain(host.port_bindings.keys());
        let bound = |port: &str| host.port_bindings.get(port).is_some_and(|b| !b.is_empty());
        let mut open: Vec<_> = exposed.filter(|p| !bound(p)).collect();
        open.sort_unstable();
        open.dedup();
        for port in open {
            requests.push(port_request(port, "", "")?);
        }
    }
    Ok(requests)
}

fn port_request(port: &str, host_ip: &str, host_port: &str) -> Result<PortRequest, Invalid> {
    let invalid = |text: &str| Invalid::Port(text.to_owned());
    let (container_port, protocol) = validate::container_port(port).ok_or_else(|| invalid(port))?;
    let protocol = match protocol {
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => Protocol::Tcp,
    };
    let host_ip = if host_ip.is_empty() { None } else { Some(validate::address_of(host_ip)?) };
    let host_ports = match host_port {
        "" | "0" => HostPorts::Ephemeral,
        text => {
            let (first, last) = validate::port_range(text).ok_or_else(|| invalid(text))?;
            HostPorts::Range { first, last }
        }
    };
    Ok(PortRequest { protocol, container_port, host_ip, host_ports })
}

/// What the container's `/etc/hosts` has beyond its own addresses.
pub(crate) fn hosts(record: &Record, engine: &Engine, links: &[Link]) -> network::names::HostsRequest {
    let extra = record.host_config.extra_hosts.iter().filter_map(|entry| host_gateway(entry, engine));
    network::names::HostsRequest {
        hostname: record.config.hostname.clone(),
        domainname: record.config.domainname.clone(),
        extra: extra.collect(),
        links: links.iter().map(|l| (l.address, l.names.clone())).collect(),
    }
}

/// `name:host-gateway` with the configured address, if one is configured; crate `network` knows the default.
fn host_gateway(entry: &str, engine: &Engine) -> Option<String> {
    match (entry.split_once(':')?, engine.config.host_gateway) {
        ((name, "host-gateway"), Some(address)) => Some(format!("{name}:{address}")),
        _ => Some(entry.to_owned()),
    }
}

/// The container's own wishes, else the engine's.
pub(crate) fn dns(record: &Record, engine: &Engine) -> network::names::DnsRequest {
    let (host, default) = (&record.host_config, &engine.config.dns);
    let or =
        |own: &[String], default: &[String]| if own.is_empty() { default.to_vec() } else { own.to_vec() };
    network::names::DnsRequest {
        servers: if host.dns.is_empty() {
            default.servers.clone()
        } else {
            host.dns.iter().filter_map(|s| s.parse().ok()).collect()
        },
        search: or(&host.dns_search, &default.search),
        options: or(&host.dns_options, &default.options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing;
    use api_types::{EndpointIpamConfig, PortBinding};
    use model::Id;

    #[test]
    fn the_mode_network_is_the_first_interface() {
        let mut record = testing::record(Id::random(), "web");
        record.host_config.network_mode = "front".into();
        for name in ["back", "front", "admin"] {
            record.networks.insert(name.into(), EndpointSettings::default());
        }
        let names: Vec<_> = sandbox(&record).unwrap().endpoints.into_iter().map(|e| e.network).collect();
        assert_eq!(names, ["front", "admin", "back"]);
    }

    #[test]
    fn publishing_all_leaves_bound_ports_alone() {
        let mut record = testing::record(Id::random(), "web");
        record.config.exposed_ports = api_types::set(["80/tcp", "53/udp"]);
        record.host_config.publish_all_ports = true;
        let bound = PortBinding { host_ip: "127.0.0.1".into(), host_port: "8000-8001".into() };
        record.host_config.port_bindings.insert("80/tcp".into(), vec![bound]);
        let ports = ports(&record).unwrap();
        let shown: Vec<_> = ports.iter().map(|p| (p.container_port, p.protocol, p.host_ports)).collect();
        assert_eq!(
            shown,
            [
                (80, Protocol::Tcp, HostPorts::Range { first: 8000, last: 8001 }),
                (53, Protocol::Udp, HostPorts::Ephemeral)
            ]
        );
    }

    #[test]
    fn bad_endpoints_name_their_network() {
        let ipam = |v4: &str| EndpointSettings {
            ipam_config: Some(EndpointIpamConfig { ipv4_address: v4.into(), ..Default::default() }),
            ..EndpointSettings::default()
        };
        assert!(endpoint("n", &ipam("10.0.0.7")).is_ok());
        assert_eq!(
            endpoint("n", &ipam("fe80::1")).unwrap_err().to_string(),
            "invalid config for network n: invalid IPv4 address: fe80::1"
        );
        let mut link_local = ipam("");
        link_local.ipam_config.as_mut().unwrap().link_local_ips = vec!["169.254.8.8".into(), "::".into()];
        assert_eq!(
            endpoint("n", &link_local).unwrap_err().to_string(),
            "invalid config for network n: invalid link-local IP address: ::"
        );
        let mac = EndpointSettings { mac_address: "02:42".into(), ..EndpointSettings::default() };
        assert_eq!(
            endpoint("n", &mac).unwrap_err().to_string(),
            "invalid config for network n: invalid MAC address: 02:42"
        );
    }
}
