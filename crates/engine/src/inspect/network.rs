//! A container's networks and ports in the wire form: what was asked for, and, while it runs, what came of it.

use crate::{Engine, container::Record, create::validate, network_plan::Mode};
use ::network::{Endpoint, SandboxRecord};
use api_types::{EndpointSettings, Map, NetworkSettings, Port, PortBinding, PortMap};

fn sandbox(engine: &Engine, record: &Record) -> Option<SandboxRecord> {
    record.state.run()?;
    match Mode::of(&record.host_config) {
        Mode::Own => engine.networks.sandbox(&record.id),
        Mode::Host | Mode::Container(_) => None,
    }
}

pub(crate) fn settings(engine: &Engine, record: &Record) -> NetworkSettings {
    let sandbox = sandbox(engine, record);
    let networks = endpoints_of(engine, record, sandbox.as_ref());
    let bridge = networks.get("bridge").cloned().unwrap_or_default();
    let pid = record.state.run().map(|run| run.process.pid);
    NetworkSettings {
        sandbox_id: sandbox.as_ref().map(|s| s.container.to_string()).unwrap_or_default(),
        sandbox_key: pid.map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default(),
        ports: if pid.is_some() { port_map(record, sandbox.as_ref()) } else { PortMap::default() },
        endpoint_id: bridge.endpoint_id,
        gateway: bridge.gateway,
        global_ipv6_address: bridge.global_ipv6_address,
        global_ipv6_prefix_len: bridge.global_ipv6_prefix_len,
        ip_address: bridge.ip_address,
        ip_prefix_len: bridge.ip_prefix_len,
        ipv6_gateway: bridge.ipv6_gateway,
        mac_address: bridge.mac_address,
        networks,
        ..NetworkSettings::default()
    }
}

/// The networks of a container, by the names they were asked for by.
pub(crate) fn endpoints(engine: &Engine, record: &Record) -> Map<EndpointSettings> {
    endpoints_of(engine, record, sandbox(engine, record).as_ref())
}

fn endpoints_of(engine: &Engine, record: &Record, sandbox: Option<&SandboxRecord>) -> Map<EndpointSettings> {
    let mut networks = record.networks.clone();
    for (name, settings) in &mut networks {
        let network = engine.networks.get(name).ok();
        if let Some(network) = &network {
            settings.network_id = network.id.to_string();
        }
        let endpoint = sandbox.and_then(|s| {
            s.endpoints
                .iter()
                .find(|e| e.network_name == *name || network.as_ref().is_some_and(|n| n.id == e.network))
        });
        if let Some(endpoint) = endpoint {
            fill(settings, endpoint);
        }
    }
    networks
}

fn fill(settings: &mut EndpointSettings, endpoint: &Endpoint) {
    let text = |address: Option<String>| address.unwrap_or_default();
    settings.endpoint_id = endpoint.id.to_string();
    settings.mac_address = text(endpoint.mac.map(|mac| mac.to_string()));
    settings.gateway = text(endpoint.gateway_v4.map(|a| a.to_string()));
    settings.ip_address = text(endpoint.ipv4.map(|a| a.addr().to_string()));
    settings.ip_prefix_len = endpoint.ipv4.map_or(0, |a| i64::from(a.prefix_len()));
    settings.ipv6_gateway = text(endpoint.gateway_v6.map(|a| a.to_string()));
    settings.global_ipv6_address = text(endpoint.ipv6.map(|a| a.addr().to_string()));
    settings.global_ipv6_prefix_len = endpoint.ipv6.map_or(0, |a| i64::from(a.prefix_len()));
    settings.dns_names.clone_from(&endpoint.dns_names);
}

/// Exposed ports, with where each is published.
fn port_map(record: &Record, sandbox: Option<&SandboxRecord>) -> PortMap {
    if sandbox.is_none() {
        return PortMap::default();
    }
    let mut map: PortMap =
        record.config.exposed_ports.keys().map(|port| (canonical(port), Vec::new())).collect();
    for port in sandbox.iter().flat_map(|s| &s.ports) {
        let key = format!("{}/{}", port.container_port, port.protocol);
        map.entry(key)
            .or_default()
            .push(PortBinding { host_ip: port.host_ip.to_string(), host_port: port.host_port.to_string() });
    }
    map
}

/// `80` is `80/tcp`.
fn canonical(port: &str) -> String {
    validate::container_port(port).map_or_else(|| port.to_owned(), |(n, protocol)| format!("{n}/{protocol}"))
}

/// The ports of a listing: published ones with their places, exposed ones without.
pub(crate) fn ports(engine: &Engine, record: &Record) -> Vec<Port> {
    let map = port_map(record, sandbox(engine, record).as_ref());
    let mut ports = Vec::new();
    for (key, bindings) in &map {
        let Some((private_port, protocol)) = validate::container_port(key) else { continue };
        let port = Port { ip: String::new(), private_port, public_port: 0, r#type: protocol.to_owned() };
        if bindings.is_empty() {
            ports.push(port.clone());
        }
        for binding in bindings {
            let public_port = binding.host_port.parse().unwrap_or(0);
            ports.push(Port { ip: binding.host_ip.clone(), public_port, ..port.clone() });
        }
    }
    ports
}
