//! Datagrams of containers: one pair of sockets for each pair of ends.
//!
//! The host-side sockets of one container's socket share a port, so that all its peers see it as one (RFC 4787, REQ-1,
//! endpoint-independent mapping); each is connected to its peer, so that nobody else's datagrams come in (the filtering
//! that the kernel's own address translation does) and refusals are told.
//!
//! A relay ends as a flow of a published port does. At most [`MAX_RELAYS`] exist; then the one that has been idle longest
//! makes room, one of the same container when that has its share.

use super::{Outward, Pair, quota::Exceeded, reason, told};
use crate::{
    poll::{Ready, Token},
    proto::Protocol,
    segments::{self, Received},
    server::Server,
    slab::Key,
    socket::{self, Family},
};
use netstack::{Packet, answer, packet};
use nix::sys::socket::ControlMessage;
use rustix::{
    io::Errno,
    net::{RecvFlags, recv, sockopt as options},
};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// Each is two descriptors.
pub(crate) const MAX_RELAYS: usize = 2048;
/// `nf_conntrack_udp_timeout`, `nf_conntrack_udp_timeout_stream`; RFC 4787 lets well-known ports have less, and each
/// query of a resolver has a port of its own.
const UNANSWERED: Duration = Duration::from_secs(30);
const ANSWERED: Duration = Duration::from_secs(120);
const ANSWERED_QUERY: Duration = Duration::from_secs(5);

/// Two sockets between a container and its peer.
pub(crate) struct Relay {
    pub pair: Pair,
    inside: OwnedFd,
    outside: OwnedFd,
    pub since: Instant,
    last: Instant,
    pub answered: bool,
    /// To the container and from it.
    pub bytes: [u64; 2],
}

impl Relay {
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let patience = match self.answered {
            true if self.pair.outside.port() == 53 => ANSWERED_QUERY,
            true => ANSWERED,
            false => UNANSWERED,
        };
        now.duration_since(self.last) >= patience
    }

    /// Datagrams of `each` bytes.
    fn send_out(&self, data: &[u8], each: usize) -> Result<(), Errno> {
        let together = |size: ControlMessage<'_>| {
            told::retry(|| segments::send_with(&self.outside, None, data, &[size]))
        };
        segments::send(data, each, together, |datagram| self.send_one(datagram))
    }

    /// One that does not fit the path is reported as such, once, and cut from then on: whether its sender has cut it
    /// already is not to be seen here.
    fn send_one(&self, datagram: &[u8]) -> Result<(), Errno> {
        let sent = told::send(&self.outside, datagram);
        if sent == Err(Errno::MSGSIZE) {
            told::let_cut(&self.outside, self.pair.outside.is_ipv4(), true)?;
            told::send(&self.outside, datagram)?;
        }
        sent
    }
}

/// The host's port by which each container's socket is seen, and how many relays use it.
#[derive(Debug, Default)]
pub(crate) struct Mappings(HashMap<SocketAddr, (u16, usize)>);

impl Mappings {
    fn port(&self, inside: SocketAddr) -> u16 {
        self.0.get(&inside).map_or(0, |(port, _)| *port)
    }

    fn take(&mut self, inside: SocketAddr, port: u16) {
        self.0.entry(inside).or_insert((port, 0)).1 += 1;
    }

    fn give_back(&mut self, inside: SocketAddr) {
        if let Some((_, count)) = self.0.get_mut(&inside) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&inside);
            }
        }
    }
}

impl Outward {
    pub(crate) fn end_relay(&mut self, key: Key) {
        if let Some(relay) = self.relays.remove(key) {
            self.relay_of.remove(&relay.pair);
            self.relay_quota.give_back(relay.pair.inside.ip());
            self.mappings.give_back(relay.pair.inside);
        }
    }

    fn make_room(&mut self, inside: IpAddr) {
        let Err(exceeded) = self.relay_quota.check(inside) else { return };
        let own = |relay: &Relay| exceeded == Exceeded::All || relay.pair.inside.ip() == inside;
        let relays = self.relays.iter_mut().filter(|(_, relay)| own(relay));
        let oldest = relays.min_by_key(|(_, relay)| relay.last).map(|(key, _)| key);
        oldest.into_iter().for_each(|key| self.end_relay(key));
    }

    /// Tells a container what became of its datagrams: what the socket was told, or else what `errno` means.
    fn tell_sender(&mut self, key: Key, errno: Option<Errno>) {
        let Some(relay) = self.relays.get_mut(key) else { return };
        let pair = relay.pair;
        let all = told::take(&relay.outside);
        let quote = |data: &[u8]| answer::datagram(pair.inside, pair.outside, data);
        if let Some(reason) = errno.and_then(reason).filter(|_| all.is_empty())
            && let Ok(packet) = packet::parse(&quote(&[]))
        {
            self.refuse(&packet, reason);
        }
        for told in all {
            if let Ok(packet) = packet::parse(&quote(&told.quoted)) {
                self.pass_on(&packet, pair, &told);
            }
        }
    }

    /// The host-side socket, from the port that the container's socket has had so far.
    fn connect_relay(&self, inside: SocketAddr, target: SocketAddr, hops: u8) -> Result<OwnedFd, Errno> {
        let mapped = self.mappings.port(inside);
        let mut made = connect_from(mapped, target);
        // Another program may have the port for another family.
        if mapped != 0 && matches!(made, Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL)) {
            made = connect_from(0, target);
        }
        let socket = made?;
        told::listen(&socket, target.is_ipv4(), true)?;
        told::limit_hops(&socket, target.is_ipv4(), hops)?;
        told::let_cut(&socket, target.is_ipv4(), false)?;
        Ok(socket)
    }
}

fn connect_from(port: u16, target: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = socket::outside(Protocol::Udp, Family::of(&target))?;
    // Shared with sockets of the same user only (socket(7)), unlike SO_REUSEADDR.
    options::set_socket_reuseport(&socket, true)?;
    if port != 0 {
        let any: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        rustix::net::bind(&socket, &SocketAddr::new(any, port))?;
    }
    rustix::net::connect(&socket, &target)?;
    discard(&socket);
    Ok(socket)
}

/// Between bind(2) and connect(2) a socket takes datagrams of anybody's; they stay in its queue, and are not this flow's.
fn discard(socket: &OwnedFd) {
    let mut byte = [0];
    while recv(socket, &mut byte, RecvFlags::TRUNC).is_ok() {}
}

impl Server {
    /// A datagram that no relay has taken.
    pub(crate) fn relay(&mut self, packet: &Packet<'_>, pair: Pair) {
        let Some(outward) = &mut self.outward else { return };
        // A relay that was made after the kernel had looked for its socket.
        if outward.relay_of.contains_key(&pair) {
            return outward.inject(packet.bytes);
        }
        let outside = match outward.target(pair.outside) {
            Ok(target) => outward.connect_relay(pair.inside, target, packet.hops),
            Err(reason) => return outward.refuse(packet, reason),
        };
        match outside.and_then(|outside| self.start_relay(pair, outside)) {
            Ok(()) => {
                if let Some(outward) = &self.outward {
                    outward.inject(packet.bytes);
                }
            }
            Err(errno) => {
                self.scarcity.met(errno);
                if let (Some(outward), Some(reason)) = (&self.outward, reason(errno)) {
                    outward.refuse(packet, reason);
                }
            }
        }
    }

    fn start_relay(&mut self, pair: Pair, outside: OwnedFd) -> Result<(), Errno> {
        let inside = self.router.take(Protocol::Udp, Family::of(&pair.inside))?;
        rustix::net::bind(&inside, &pair.outside)?;
        rustix::net::connect(&inside, &pair.inside)?;
        discard(&inside);
        for socket in [&inside, &outside] {
            segments::accept(socket)?;
        }
        let port = rustix::net::getsockname(&outside).ok().and_then(socket::internet).map_or(0, |a| a.port());
        let Some(outward) = &mut self.outward else { return Ok(()) };
        outward.make_room(pair.inside.ip());
        let now = Instant::now();
        let relay = Relay { pair, inside, outside, since: now, last: now, answered: false, bytes: [0; 2] };
        let key = outward.relays.insert(relay);
        outward.relay_of.insert(pair, key);
        outward.relay_quota.take(pair.inside.ip());
        outward.mappings.take(pair.inside, port);
        let relay = outward.relays.get_mut(key).expect("just inserted");
        let added = self
            .poll
            .add_input(&relay.inside, Token::RelayInside(key))
            .and_then(|()| self.poll.add_input(&relay.outside, Token::RelayOutside(key)));
        added.inspect_err(|_| outward.end_relay(key))
    }

    /// Datagrams of the container.
    pub(crate) fn relay_out(&mut self, key: Key) {
        let Some(outward) = &mut self.outward else { return };
        let Some(relay) = outward.relays.get_mut(key) else { return };
        relay.last = Instant::now();
        let mut refused = None;
        for _ in Self::turn() {
            let received = match segments::receive(&relay.inside, &mut self.scratch) {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                // The container's socket is gone. With ours gone as well, the host's kernel says so to the peer.
                Err(Errno::CONNREFUSED) => return outward.end_relay(key),
                Err(_) => break,
            };
            relay.bytes[1] += received.length as u64;
            if let Err(errno) = relay.send_out(&self.scratch[..received.length], received.each) {
                refused = refused.or(Some(errno));
            }
        }
        if refused.is_some() {
            outward.tell_sender(key, refused);
        }
    }

    /// Datagrams for the container, and what became of its own.
    pub(crate) fn relay_in(&mut self, key: Key, ready: Ready) {
        let Some(outward) = &mut self.outward else { return };
        let Some(relay) = outward.relays.get_mut(key) else { return };
        relay.last = Instant::now();
        let mut refused = None;
        for _ in Self::turn() {
            match segments::receive(&relay.outside, &mut self.scratch) {
                Ok(Received { length, each }) => {
                    relay.answered = true;
                    relay.bytes[0] += length as u64;
                    // A full buffer loses the datagram, as any router's would.
                    let sent = segments::send_on(&relay.inside, &self.scratch[..length], each);
                    if sent == Err(Errno::CONNREFUSED) {
                        return outward.end_relay(key);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => refused = refused.or(Some(errno)),
            }
        }
        if ready.broken || refused.is_some() {
            outward.tell_sender(key, refused);
        }
    }
}
