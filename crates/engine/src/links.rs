//! Legacy links between containers on the default bridge (`--link db:store`): names in `/etc/hosts`, and variables that
//! tell of the other's ports (moby `daemon/links`). Links on user-defined networks are crate `network`'s.

use crate::{
    Engine, Error,
    container::{Record, Registry},
    create::validate,
};
use api_types::HostConfig;
use model::Id;
use std::net::IpAddr;

/// A link to a running container, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) address: IpAddr,
    /// The alias, and the other's own names.
    pub(crate) names: Vec<String>,
    pub(crate) env: Vec<String>,
}

/// Whether the links of a configuration are those of the default bridge, the only ones that are kept in `HostConfig`.
fn on_default_bridge(host: &HostConfig) -> bool {
    host.network_mode == "bridge"
}

/// Writes the links of a new container as `ID:alias`, so that the others can be renamed.
///
/// # Errors
/// [`Error::LinkTarget`]: there is no such container (moby `registerLinks`).
pub(crate) fn pin(host: &mut HostConfig, containers: &Registry) -> Result<(), Error> {
    if !on_default_bridge(host) {
        return Ok(());
    }
    for spec in &mut host.links {
        let (name, alias) = validate::parse_link(spec)?;
        let missing = |source| Error::LinkTarget { reference: name.to_owned(), source: Box::new(source) };
        let target = containers.find(name).map_err(missing)?;
        *spec = format!("{}:{}", target.id(), alias.trim_start_matches('/'));
    }
    Ok(())
}

/// The container that a configuration links to as `alias`.
pub(crate) fn target(host: &HostConfig, alias: &str) -> Option<Id> {
    let pinned = host.links.iter().filter_map(|spec| spec.split_once(':'));
    pinned.filter(|(_, own)| *own == alias).find_map(|(id, _)| id.parse().ok())
}

/// The links as `inspect` shows them: `/target:/owner/alias`, by the names of today. Those to containers that are gone
/// are not shown.
pub(crate) fn shown(engine: &Engine, record: &Record) -> Vec<String> {
    if !on_default_bridge(&record.host_config) {
        return Vec::new();
    }
    let line = |spec: &String| {
        let (target, alias) = validate::parse_link(spec).ok()?;
        let target = engine.containers.find(target).ok()?.record();
        Some(format!("/{}:/{}/{alias}", target.name, record.name))
    };
    record.host_config.links.iter().filter_map(line).collect()
}

/// The links of a container that is about to start. Only those of the default bridge count here.
///
/// # Errors
/// A target that is missing, stopped, or not on the default bridge.
pub(crate) fn resolve(engine: &Engine, record: &Record) -> Result<Vec<Link>, Error> {
    if !on_default_bridge(&record.host_config) {
        return Ok(Vec::new());
    }
    record.host_config.links.iter().map(|spec| link(engine, record, spec)).collect()
}

fn link(engine: &Engine, record: &Record, spec: &str) -> Result<Link, Error> {
    let (name, alias) = validate::parse_link(spec)?;
    let missing = |source| Error::LinkTarget { reference: name.to_owned(), source: Box::new(source) };
    let target = engine.containers.find(name).map_err(missing)?.record();
    if target.state.run().is_none() {
        return Err(Error::LinkNotRunning {
            reference: format!("/{}", target.name),
            alias: alias.to_owned(),
        });
    }
    let sandbox = engine.networks.sandbox(&target.id);
    let bridge = sandbox.as_ref().and_then(|s| s.endpoints.iter().find(|e| e.network_name == "bridge"));
    let address = bridge
        .and_then(|e| e.ipv4)
        .ok_or_else(|| Error::LinkElsewhere { reference: format!("/{}", target.name) })?
        .addr();
    Ok(Link {
        address: address.into(),
        names: vec![alias.to_owned(), target.config.hostname.clone(), target.name.clone()],
        env: variables(&format!("/{}/{alias}", record.name), alias, address.into(), &target),
    })
}

fn variables(name: &str, alias: &str, address: IpAddr, target: &Record) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let mut ports: Vec<(u16, &str)> =
        target.config.exposed_ports.keys().filter_map(|p| validate::container_port(p)).collect();
    ports.sort_by_key(|(port, protocol)| (*protocol != "tcp", *protocol, *port));
    let url = |(port, protocol): (u16, &str)| format!("{protocol}://{address}:{port}");
    let mut env = Vec::new();
    if let Some(first) = ports.first() {
        env.push(format!("{prefix}_PORT={}", url(*first)));
    }
    for run in ports.chunk_by(|a, b| a.1 == b.1 && a.0 + 1 == b.0) {
        let key = |(port, protocol): (u16, &str)| format!("{prefix}_PORT_{port}_{}", protocol.to_uppercase());
        for &(port, protocol) in run {
            let key = key((port, protocol));
            env.push(format!("{key}={}", url((port, protocol))));
            env.push(format!("{key}_ADDR={address}"));
            env.push(format!("{key}_PORT={port}"));
            env.push(format!("{key}_PROTO={protocol}"));
        }
        if let [first, .., last] = *run {
            let key = key(first);
            env.push(format!("{key}_START={}", url(first)));
            env.push(format!("{key}_PORT_START={}", first.0));
            env.push(format!("{key}_END={}", url(last)));
            env.push(format!("{key}_PORT_END={}", last.0));
        }
    }
    env.push(format!("{prefix}_NAME={name}"));
    let own = target.config.env.iter().filter(|e| !e.starts_with("PATH=") && !e.starts_with("HOME="));
    env.extend(own.filter(|e| e.contains('=')).map(|e| format!("{prefix}_ENV_{e}")));
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing;
    use model::Id;

    #[test]
    fn variables_tell_of_ports_ranges_and_environment() {
        let mut target = testing::record(Id::random(), "db");
        target.config.exposed_ports = api_types::set(["5432/tcp", "5433/tcp", "53/udp"]);
        target.config.env = vec!["PATH=/bin".into(), "A=b".into()];
        let env = variables("/web/my-db", "my-db", "10.0.0.2".parse().unwrap(), &target);
        assert_eq!(
            env,
            [
                "MY_DB_PORT=tcp://10.0.0.2:5432",
                "MY_DB_PORT_5432_TCP=tcp://10.0.0.2:5432",
                "MY_DB_PORT_5432_TCP_ADDR=10.0.0.2",
                "MY_DB_PORT_5432_TCP_PORT=5432",
                "MY_DB_PORT_5432_TCP_PROTO=tcp",
                "MY_DB_PORT_5433_TCP=tcp://10.0.0.2:5433",
                "MY_DB_PORT_5433_TCP_ADDR=10.0.0.2",
                "MY_DB_PORT_5433_TCP_PORT=5433",
                "MY_DB_PORT_5433_TCP_PROTO=tcp",
                "MY_DB_PORT_5432_TCP_START=tcp://10.0.0.2:5432",
                "MY_DB_PORT_5432_TCP_PORT_START=5432",
                "MY_DB_PORT_5432_TCP_END=tcp://10.0.0.2:5433",
                "MY_DB_PORT_5432_TCP_PORT_END=5433",
                "MY_DB_PORT_53_UDP=udp://10.0.0.2:53",
                "MY_DB_PORT_53_UDP_ADDR=10.0.0.2",
                "MY_DB_PORT_53_UDP_PORT=53",
                "MY_DB_PORT_53_UDP_PROTO=udp",
                "MY_DB_NAME=/web/my-db",
                "MY_DB_ENV_A=b",
            ]
        );
    }
}
