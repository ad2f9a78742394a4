//! From a published port to the container: new TCP connections, and datagrams both ways.
//!
//! # The source address that the container sees
//! The client's own, taken by a transparent socket (ip(7), `IP_TRANSPARENT`), unless replies could not find their way
//! back: clients on the host's own loopback, clients whose address lies in one of the container's subnets (the host's
//! network may use the same numbers), link-local ones, and those of the other IP version. These appear as the gateway
//! of the container's bridge, which is what the kernel chooses when nothing is. Never as 127.0.0.1: programs trust
//! that address (CVE-2021-20199).

use crate::{
    poll::Token,
    proto::{Listen, Port, Protocol},
    segments,
    server::{Published, Server, spare},
    slab::Key,
    socket::{self, Family},
    tcp, udp,
};
use rustix::{io::Errno, net::SocketFlags};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    rc::Rc,
    time::{Duration, Instant},
};

/// How long to wait before looking again for a descriptor.
const BREATH: Duration = Duration::from_millis(10);

/// The address a router-side socket takes for a client; none for the kernel's choice.
pub(crate) fn source(client: SocketAddr, port: &Port) -> Option<SocketAddr> {
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    let ip = client.ip();
    let unfit = ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
        || client.is_ipv4() != port.target.is_ipv4()
        || port.subnets.iter().any(|subnet| subnet.contains(&ip));
    (!unfit).then_some(client)
}

/// The same port, published on every address of the other IP version; none for others than those of TCP on every address.
pub(crate) fn other_version(listen: Listen) -> Option<Listen> {
    if listen.protocol != Protocol::Tcp || !listen.address.ip().is_unspecified() {
        return None;
    }
    let ip: IpAddr =
        if listen.address.is_ipv4() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    Some(Listen { address: SocketAddr::new(ip, listen.address.port()), ..listen })
}

/// Which of a port's listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    Router,
}

impl Published {
    fn listener(&self, side: Side) -> Option<&OwnedFd> {
        match side {
            Side::Host => Some(&self.listener),
            Side::Router => self.inside.as_ref(),
        }
    }
}

impl Server {
    /// A listener for a port that is published on every address: the gateways' are among them, as on a host whose
    /// bridges are its own. Where the other IP version's is published too, one serves both. Where it cannot be had, the
    /// host's own address still leads there, and the other IP version keeps its own.
    pub(crate) fn listen_inside(&mut self, at: Listen) -> Option<OwnedFd> {
        let other = other_version(at)?;
        let theirs = self.by_address.get(&other).copied();
        match self.listen_beside(at, theirs) {
            Ok(socket) => Some(socket),
            Err(errno) => {
                self.unreachable_inside(at, errno);
                self.listen_for_other_version(at);
                None
            }
        }
    }

    fn listen_beside(&mut self, at: Listen, theirs: Option<Key>) -> Result<OwnedFd, Errno> {
        let any =
            if theirs.is_some() { (Ipv6Addr::UNSPECIFIED, at.address.port()).into() } else { at.address };
        let socket = self.router.take(Protocol::Tcp, Family::of(&any))?;
        if let Some(published) = theirs.and_then(|key| self.ports.get_mut(key)) {
            // It would be in the way of the one for both.
            published.inside = None;
        }
        socket::listen_to_gateways(&socket, any, theirs.is_some())?;
        Ok(socket)
    }

    /// The same port of both IP versions had one listener in the router namespace, or was to have one; the one that is left
    /// is to have its own.
    pub(crate) fn listen_for_other_version(&mut self, gone: Listen) {
        let Some(other) = other_version(gone) else { return };
        let Some(key) = self.by_address.get(&other).copied() else { return };
        let Some(published) = self.ports.get_mut(key) else { return };
        published.inside = None;
        // Why there is none has been said.
        let Some(inside) = self.listen_inside(other) else { return };
        let polled = self.poll.add_input(&inside, Token::PortInside(key));
        match (polled, self.ports.get_mut(key)) {
            (Ok(()), Some(published)) => published.inside = Some(inside),
            (Err(errno), _) => self.unreachable_inside(other, errno),
            (Ok(()), None) => {}
        }
    }

    fn unreachable_inside(&mut self, at: Listen, errno: Errno) {
        self.scarcity.met(errno);
        eprintln!("netd: containers do not find {} at their gateways: listen: {errno}", at.address);
    }

    /// Where connections to a listener lead: in the router namespace, to the port of the client's IP version.
    fn led_to(&mut self, key: Key, side: Side, client: SocketAddr) -> Option<(Key, Rc<Port>)> {
        let port = Rc::clone(&self.ports.get_mut(key)?.port);
        if side == Side::Host || client.is_ipv4() == port.listen.address.is_ipv4() {
            return Some((key, port));
        }
        let key = *self.by_address.get(&other_version(port.listen)?)?;
        Some((key, Rc::clone(&self.ports.get_mut(key)?.port)))
    }

    pub(crate) fn accept(&mut self, key: Key, side: Side) {
        for _ in Self::turn() {
            let Some(published) = self.ports.get_mut(key) else { return };
            let Some(listener) = published.listener(side) else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::acceptfrom_with(listener, flags) {
                Ok((client, Some(address))) => {
                    let Some(address) = socket::internet(address) else { continue };
                    // A client that cannot be served is reset by closing its connection with nothing said.
                    let Some((key, port)) = self.led_to(key, side, address) else {
                        socket::reset_on_close(&client).ok();
                        continue;
                    };
                    if let Err((client, errno)) = self.open_stream(key, &port, client, address) {
                        self.scarcity.met(errno);
                        socket::reset_on_close(&client).ok();
                    }
                }
                Ok((_, None)) | Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                    let refused = self.refuse_one(errno, |server| {
                        let listener = server.ports.get_mut(key)?.listener(side)?;
                        rustix::net::accept_with(listener, SocketFlags::CLOEXEC).ok()
                    });
                    if !refused {
                        return;
                    }
                }
                // EAGAIN, and errors of connections that broke before they were accepted (accept(2), "Error handling").
                Err(_) => return,
            }
        }
    }

    /// Out of descriptors: the connection at the head of a queue is taken with the spare one and reset, so that it
    /// does not hang and the listener does not spin. False when that could not be done, nor could it for the next one.
    pub(crate) fn refuse_one(
        &mut self,
        errno: Errno,
        accept: impl FnOnce(&mut Self) -> Option<OwnedFd>,
    ) -> bool {
        self.scarcity.met(errno);
        if !self.free_one() {
            return false;
        }
        if let Some(client) = accept(self) {
            socket::reset_on_close(&client).ok();
        }
        self.spare = spare();
        true
    }

    /// Makes room for one descriptor for a moment; false when nothing is left to give up.
    pub(crate) fn free_one(&mut self) -> bool {
        let freed = self.spare.take().is_some() || self.router.discard_one();
        if !freed {
            // The connection waits, and asking again at once would only keep the processor busy until a flow ends.
            std::thread::sleep(BREATH);
        }
        freed
    }

    fn open_stream(
        &mut self,
        key: Key,
        port: &Port,
        client: OwnedFd,
        address: SocketAddr,
    ) -> Result<(), (OwnedFd, Errno)> {
        let container = match self.connect(Protocol::Tcp, port, address) {
            Ok(container) => container,
            Err(errno) => return Err((client, errno)),
        };
        self.join_streams(Some(key), tcp::Flow::new(client, container));
        Ok(())
    }

    /// A router-side socket that connects to the container, from the client's address where that can be.
    fn connect(&mut self, protocol: Protocol, port: &Port, client: SocketAddr) -> Result<OwnedFd, Errno> {
        let wanted = source(client, port).filter(|_| self.transparent);
        let any_port = wanted.map(|w| SocketAddr::new(w.ip(), 0));
        let mut result = self.connect_from(protocol, port, wanted);
        // The same client port may lead to the same container port by another published port.
        if wanted.is_some() && matches!(result, Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL)) {
            result = self.connect_from(protocol, port, any_port);
        }
        result
    }

    fn connect_from(
        &mut self,
        protocol: Protocol,
        port: &Port,
        source: Option<SocketAddr>,
    ) -> Result<OwnedFd, Errno> {
        let socket = self.router.take(protocol, Family::of(&port.target))?;
        if let Some(source) = source {
            if source.port() == 0 && protocol == Protocol::Tcp {
                socket::choose_port_late(&socket)?;
            }
            rustix::net::bind(&socket, &source)?;
        }
        match rustix::net::connect(&socket, &port.target) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn receive(&mut self, key: Key) {
        for _ in Self::turn() {
            let Some(published) = self.ports.get_mut(key) else { return };
            let (received, client) = match udp::receive(&published.listener, &mut self.scratch) {
                Ok(Some(received)) => received,
                Ok(None) | Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let flow = match self.clients.get(&(key, client)) {
                Some(flow) => *flow,
                None => match self.open_datagram_flow(key, client) {
                    Ok(flow) => flow,
                    // Datagrams may be lost; the client sends again.
                    Err(errno) => {
                        self.scarcity.met(errno);
                        continue;
                    }
                },
            };
            if let Some(flow) = self.datagrams.get_mut(flow) {
                flow.last = Instant::now();
                flow.bytes[0] += received.length as u64;
                // A refusal by the container (ICMP) shows up here, and UDP clients live with silence.
                segments::send_on(&flow.socket, &self.scratch[..received.length], received.each).ok();
            }
        }
    }

    fn open_datagram_flow(&mut self, key: Key, client: udp::Client) -> Result<Key, Errno> {
        if self.datagrams.len() >= udp::MAX_FLOWS {
            let oldest = self.datagrams.iter_mut().min_by_key(|(_, f)| f.last).map(|(k, _)| k);
            oldest.into_iter().for_each(|k| self.drop_datagram_flow(k));
        }
        let port = Rc::clone(&self.ports.get_mut(key).ok_or(Errno::BADF)?.port);
        let address = SocketAddr::new(client.address.ip().to_canonical(), client.address.port());
        let socket = self.connect(Protocol::Udp, &port, address)?;
        segments::accept(&socket)?;
        let now = Instant::now();
        let flow =
            udp::Flow { client, port: key, socket, since: now, last: now, bytes: [0; 2], answered: false };
        let flow = self.datagrams.insert(flow);
        let inserted = self.datagrams.get_mut(flow).expect("just inserted");
        if let Err(errno) = self.poll.add_input(&inserted.socket, Token::Datagram(flow)) {
            self.datagrams.remove(flow);
            return Err(errno);
        }
        self.clients.insert((key, client), flow);
        Ok(flow)
    }

    pub(crate) fn answer_client(&mut self, key: Key) {
        for _ in Self::turn() {
            let Some(flow) = self.datagrams.get_mut(key) else { return };
            let received = match segments::receive(&flow.socket, &mut self.scratch) {
                Ok(received) => received,
                // ECONNREFUSED: an ICMP error for what was sent before, now taken off the socket.
                Err(Errno::INTR | Errno::CONNREFUSED) => continue,
                Err(_) => return,
            };
            flow.last = Instant::now();
            flow.answered = true;
            flow.bytes[1] += received.length as u64;
            let client = flow.client;
            if let Some(published) = self.ports.get_mut(flow.port) {
                // A full buffer loses the datagram, as any router's would.
                let data = &self.scratch[..received.length];
                udp::answer(&published.listener, client, data, received.each).ok();
            }
        }
    }

    pub(crate) fn drop_datagram_flow(&mut self, key: Key) {
        if let Some(flow) = self.datagrams.remove(key) {
            self.clients.remove(&(flow.port, flow.client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(client: &str, listen: &str, target: &str) -> Option<SocketAddr> {
        let port = Port {
            listen: Listen { protocol: Protocol::Tcp, address: listen.parse().unwrap() },
            target: target.parse().unwrap(),
            container: model::Id::random(),
            subnets: vec!["172.17.0.0/16".parse().unwrap(), "fd00:17::/64".parse().unwrap()],
            passed: false,
        };
        source(client.parse().unwrap(), &port)
    }

    #[test]
    fn the_clients_address_is_kept_where_replies_find_back() {
        let kept = |client: &str| Some(client.parse().unwrap());
        let (v4, v6) = ("172.17.0.2:80", "[fd00:17::2]:80");
        assert_eq!(seen("192.0.2.7:5000", "0.0.0.0:80", v4), kept("192.0.2.7:5000"));
        assert_eq!(seen("[::ffff:192.0.2.7]:5000", "[::]:80", v4), kept("192.0.2.7:5000"));
        assert_eq!(seen("[2001:db8::7]:5000", "[::]:80", v6), kept("[2001:db8::7]:5000"));
        for (client, target) in [
            ("127.0.0.1:5000", v4),
            ("127.8.8.8:5000", v4),
            ("[::1]:5000", v6),
            ("[::ffff:127.0.0.1]:5000", v4),
            ("172.17.3.4:5000", v4),
            ("[fd00:17::99]:5000", v6),
            ("[fe80::1]:5000", v6),
            ("[2001:db8::7]:5000", v4),
            ("192.0.2.7:5000", v6),
        ] {
            assert_eq!(seen(client, "[::]:80", target), None, "{client} → {target}");
        }
    }
}
