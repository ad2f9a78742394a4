//! Published ports: from what was asked for to what the forwarder is told.

use crate::{
    error::PortError,
    forwarder::Forwarder,
    record::{Endpoint, PublishedPort},
    request::{HostPorts, PortRequest},
};
use ipnet::IpNet;
use model::Id;
use netd::{
    client,
    proto::{Listen, Port, Protocol},
};
use rustix::io::Errno;
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many ephemeral ports that other programs turn out to have are tried.
const EPHEMERAL_TRIES: usize = 64;

/// The host ports of all containers.
#[derive(Default)]
pub(crate) struct HostPortBook {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    by: BTreeMap<Listen, Id>,
    /// Where the search for an ephemeral port goes on, so that a port just freed is not given out at once.
    next: u16,
}

/// Where the ports of a container lead.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub container: Id,
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
    pub subnets: Vec<IpNet>,
}

impl Target {
    /// From the endpoints that hold the default routes.
    pub(crate) fn of(container: &Id, endpoints: &[Endpoint]) -> Self {
        let (v4, v6) = crate::plumbing::gateways(endpoints);
        // Those of macvlan and ipvlan are not behind the router, and publish nothing, as in Docker.
        let (v4, v6) = (v4.filter(|e| e.is_bridged()), v6.filter(|e| e.is_bridged()));
        let subnets = endpoints
            .iter()
            .flat_map(|e| e.ipv4.map(IpNet::V4).into_iter().chain(e.ipv6.map(IpNet::V6)))
            .map(|net| net.trunc())
            .collect();
        Self {
            container: container.clone(),
            v4: v4.and_then(|e| e.ipv4).map(|net| net.addr()),
            v6: v6.and_then(|e| e.ipv6).map(|net| net.addr()),
            subnets,
        }
    }

    pub(crate) fn is_reachable(&self) -> bool {
        self.v4.is_some() || self.v6.is_some()
    }

    fn address(&self, host: IpAddr, port: u16) -> Result<SocketAddr, PortError> {
        let (v4, v6) = (self.v4.map(IpAddr::V4), self.v6.map(IpAddr::V6));
        // The host's IPv6 address may lead to a container that has IPv4 only; the other way round nothing is lost by
        // asking for it either.
        let ip = if host.is_ipv6() { v6.or(v4) } else { v4.or(v6) };
        ip.map(|ip| SocketAddr::new(ip, port)).ok_or(PortError::NoFamily { host })
    }

    /// What the forwarder is told about a port.
    pub(crate) fn port(&self, published: &PublishedPort) -> Result<Port, PortError> {
        Ok(Port {
            listen: listen(published),
            target: self.address(published.host_ip, published.container_port)?,
            container: self.container.clone(),
            subnets: self.subnets.clone(),
            passed: false,
        })
    }
}

pub(crate) fn listen(port: &PublishedPort) -> Listen {
    Listen { protocol: port.protocol, address: SocketAddr::new(port.host_ip, port.host_port) }
}

impl HostPortBook {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters ports that a container has already.
    pub(crate) fn adopt(&self, container: &Id, ports: &[PublishedPort]) {
        self.lock().by.extend(ports.iter().map(|port| (listen(port), container.clone())));
    }

    pub(crate) fn release(&self, ports: &[PublishedPort]) {
        let mut taken = self.lock();
        for port in ports {
            taken.by.remove(&listen(port));
        }
    }

    /// Publishes all of `requests`, or none. `default_host` is where a port that names no address goes.
    pub(crate) fn publish(
        &self,
        forwarder: &Forwarder,
        target: &Target,
        requests: &[PortRequest],
        default_host: Option<IpAddr>,
    ) -> Result<Vec<PublishedPort>, PortError> {
        let mut published = Vec::new();
        for request in requests {
            match self.publish_one(forwarder, target, request, default_host) {
                Ok(ports) => published.extend(ports),
                Err(error) => {
                    let listens: Vec<Listen> = published.iter().map(listen).collect();
                    if let Err(error) = forwarder.remove(&listens) {
                        tracing::warn!(%error, "cannot withdraw ports that were published before one that failed");
                    }
                    self.release(&published);
                    return Err(error);
                }
            }
        }
        Ok(published)
    }

    fn publish_one(
        &self,
        forwarder: &Forwarder,
        target: &Target,
        request: &PortRequest,
        default_host: Option<IpAddr>,
    ) -> Result<Vec<PublishedPort>, PortError> {
        if request.protocol == Protocol::Sctp {
            let why = "the kernel's SCTP cannot be forwarded by sockets without losing its message streams";
            return Err(PortError::Protocol { protocol: request.protocol, why });
        }
        let (candidates, tries): (Box<dyn Iterator<Item = u16>>, usize) = match request.host_ports {
            HostPorts::Range { first, last } => (Box::new(first..=last), usize::MAX),
            HostPorts::Ephemeral => (Box::new(self.ephemeral()), EPHEMERAL_TRIES),
        };
        let is_single = matches!(request.host_ports, HostPorts::Range { first, last } if first == last);
        let mut attempts = 0;
        for port in candidates {
            match self.try_port(forwarder, target, request, default_host, port) {
                Err(error @ (PortError::Allocated { .. } | PortError::Bind { .. })) if !is_single => {
                    attempts += usize::from(matches!(error, PortError::Bind { .. }));
                    if attempts >= tries || matches!(&error, PortError::Bind { in_use: false, .. }) {
                        return Err(error);
                    }
                }
                other => return other,
            }
        }
        let (first, last) = ephemeral_range();
        Err(match request.host_ports {
            HostPorts::Range { first, last } => PortError::RangeTaken { first, last },
            HostPorts::Ephemeral => PortError::NoEphemeral { first, last },
        })
    }

    /// One host port on each address that it is wanted on.
    fn try_port(
        &self,
        forwarder: &Forwarder,
        target: &Target,
        request: &PortRequest,
        default_host: Option<IpAddr>,
        host_port: u16,
    ) -> Result<Vec<PublishedPort>, PortError> {
        let mut published: Vec<PublishedPort> = hosts(request.host_ip.or(default_host))
            .into_iter()
            .map(|host_ip| PublishedPort {
                protocol: request.protocol,
                container_port: request.container_port,
                host_ip,
                host_port,
            })
            .collect();
        self.reserve(&target.container, &published)?;
        let result = loop {
            let ports = published.iter().map(|p| target.port(p)).collect::<Result<Vec<_>, _>>()?;
            match forwarder.add(ports) {
                // "All addresses" on a host without IPv6 are those of IPv4.
                Err(client::Error::Port { listen: failed, errno, .. })
                    if lacks_ipv6(errno)
                        && failed.address.ip() == Ipv6Addr::UNSPECIFIED
                        && published.len() > 1 =>
                {
                    let (gone, kept) = published.into_iter().partition(|p| p.host_ip.is_ipv6());
                    let gone: Vec<PublishedPort> = gone;
                    self.release(&gone);
                    published = kept;
                }
                other => break other,
            }
        };
        match result {
            Ok(()) => Ok(published),
            Err(error) => {
                self.release(&published);
                Err(explain(error))
            }
        }
    }

    fn reserve(&self, container: &Id, ports: &[PublishedPort]) -> Result<(), PortError> {
        let mut taken = self.lock();
        for port in ports {
            let wanted = listen(port);
            if taken.by.keys().any(|held| collide(held, &wanted)) {
                return Err(PortError::Allocated { address: wanted.address, protocol: port.protocol });
            }
        }
        taken.by.extend(ports.iter().map(|port| (listen(port), container.clone())));
        Ok(())
    }

    /// The ephemeral range, once around, from where the last search ended.
    fn ephemeral(&self) -> impl Iterator<Item = u16> + use<> {
        let (first, last) = ephemeral_range();
        let mut taken = self.lock();
        let start = if (first..=last).contains(&taken.next) { taken.next } else { first };
        taken.next = start.checked_add(1).unwrap_or(first);
        (start..=last).chain(first..start)
    }
}

fn collide(a: &Listen, b: &Listen) -> bool {
    let (x, y) = (a.address.ip(), b.address.ip());
    a.protocol == b.protocol
        && a.address.port() == b.address.port()
        && x.is_ipv4() == y.is_ipv4()
        && (x == y || x.is_unspecified() || y.is_unspecified())
}

fn hosts(host_ip: Option<IpAddr>) -> Vec<IpAddr> {
    match host_ip {
        Some(ip) => vec![ip],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    }
}

fn lacks_ipv6(errno: i32) -> bool {
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error).contains(&errno)
}

/// In Docker's words, and for privileged ports with the three ways out.
fn explain(error: client::Error) -> PortError {
    let client::Error::Port { listen, errno, .. } = error else { return PortError::Netd(error) };
    let Listen { protocol, address } = listen;
    let start = unprivileged_start();
    if errno == Errno::ACCESS.raw_os_error() && u32::from(address.port()) < start {
        return PortError::Privileged { address, protocol, start };
    }
    let in_use = errno == Errno::ADDRINUSE.raw_os_error();
    PortError::Bind { address, protocol, text: go_text(errno), in_use }
}

/// As Go prints an errno: the C library's text in lower case.
fn go_text(errno: i32) -> String {
    if errno == Errno::ADDRNOTAVAIL.raw_os_error() {
        return "cannot assign requested address".into();
    }
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn unprivileged_start() -> u32 {
    read_numbers("/proc/sys/net/ipv4/ip_unprivileged_port_start").first().copied().unwrap_or(1024)
}

/// The host's own range for outgoing connections, from which Docker takes ephemeral ports as well.
fn ephemeral_range() -> (u16, u16) {
    let read = read_numbers("/proc/sys/net/ipv4/ip_local_port_range");
    match read.as_slice() {
        [first, last] if first <= last => (*first as u16, *last as u16),
        _ => (49_153, 65_535),
    }
}

fn read_numbers(path: &str) -> Vec<u32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Listen {
        Listen { protocol: Protocol::Tcp, address: text.parse().unwrap() }
    }

    #[test]
    fn every_address_collides_with_each_of_its_family() {
        assert!(collide(&at("0.0.0.0:80"), &at("127.0.0.1:80")));
        assert!(collide(&at("127.0.0.1:80"), &at("127.0.0.1:80")));
        assert!(!collide(&at("127.0.0.1:80"), &at("127.0.0.2:80")));
        assert!(!collide(&at("0.0.0.0:80"), &at("[::]:80")));
        assert!(!collide(&at("0.0.0.0:80"), &Listen { protocol: Protocol::Udp, ..at("0.0.0.0:80") }));
    }

    #[test]
    fn errors_read_as_dockers() {
        let failed = |errno: Errno, address: &str| {
            let error = client::Error::Port {
                listen: at(address),
                operation: "bind".into(),
                errno: errno.raw_os_error(),
            };
            explain(error).to_string()
        };
        assert_eq!(
            failed(Errno::ADDRINUSE, "0.0.0.0:8080"),
            "failed to bind port 0.0.0.0:8080/tcp: listen tcp4 0.0.0.0:8080: bind: address already in use"
        );
        assert_eq!(
            failed(Errno::ADDRNOTAVAIL, "192.0.2.1:8080"),
            "failed to bind port 192.0.2.1:8080/tcp: listen tcp4 192.0.2.1:8080: bind: cannot assign requested address"
        );
        let start = unprivileged_start();
        if start > 80 {
            let text = failed(Errno::ACCESS, "0.0.0.0:80");
            assert!(
                text.starts_with(&format!(
                    "cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to \
                     /etc/sysctl.conf (currently {start}), or set CAP_NET_BIND_SERVICE on the lichen binary, or choose a \
                     larger port number (>= {start})"
                )),
                "{text}"
            );
        }
    }
}
