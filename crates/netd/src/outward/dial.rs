//! Connections of containers on their way: connected on the host first, then accepted from the container.
//!
//! ```text
//!   state       events                                leads to
//!   Connecting  the SYN again                         nothing: the kernel repeats the host's own
//!               connected                             Delivered; the SYN is written into the tun
//!               refused, unreachable                  reset or ICMP to the container, gone
//!               no answer within the kernel's time    gone in silence: the container's own time is up as well
//!   Delivered   accepted by the catching listener     gone: joined to a tcp::Flow
//!               the SYN again                         written into the tun again
//!               the host side breaks, or nothing      gone; what is accepted afterwards is reset
//!               is accepted in PATIENCE
//! ```

use super::{Outward, Pair, quota::Exceeded, reason, source_ports::SourcePorts, told};
use crate::{
    poll::{Ready, Token},
    proto::Protocol,
    server::Server,
    slab::Key,
    socket::{self, Family},
    tcp,
};
use netstack::Packet;
use rustix::{
    io::Errno,
    net::{SocketFlags, sockopt as options},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// Connections that may be on their way at once. A container that knocks at doors that nobody opens keeps each for two
/// minutes (`tcp_syn_retries`), and has a quarter of them.
pub(crate) const MAX_DIALS: usize = 4096;
/// How long the container may take to acknowledge: the way to it is a bridge.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection on its way.
pub(crate) struct Dial {
    pub pair: Pair,
    pub since: Instant,
    socket: OwnedFd,
    syn: Vec<u8>,
    delivered: Option<Instant>,
}

impl Dial {
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.delivered.is_some_and(|since| now.duration_since(since) >= PATIENCE)
    }
}

impl Outward {
    /// Forgets a dial and returns its host-side socket.
    pub(crate) fn end_dial(&mut self, key: Key) -> Option<OwnedFd> {
        let dial = self.dials.remove(key)?;
        self.dial_of.remove(&dial.pair);
        self.dial_quota.give_back(dial.pair.inside.ip());
        Some(dial.socket)
    }

    /// The host's side said no.
    fn fail_dial(&mut self, key: Key, errno: Errno) {
        let Some(dial) = self.dials.get_mut(key) else { return };
        let (syn, delivered, pair) = (std::mem::take(&mut dial.syn), dial.delivered.is_some(), dial.pair);
        // Who said so, while a connection is on its way (Linux 5.18, `tcp_v4_err()`); a reset is no ICMP error.
        let told = told::take(&dial.socket).into_iter().next();
        self.end_dial(key);
        let packet = netstack::packet::parse(&syn).ok().filter(|_| !delivered);
        // One that was delivered has been told that it is connected.
        match (packet, told, reason(errno)) {
            (Some(packet), Some(told), _) => self.pass_on(&packet, pair, &told),
            (Some(packet), None, Some(reason)) => self.refuse(&packet, reason),
            _ => {}
        }
    }
}

impl Server {
    /// A container wants a connection.
    pub(crate) fn dial(&mut self, packet: &Packet<'_>, pair: Pair) {
        let Some(outward) = &mut self.outward else { return };
        if let Some(known) = outward.dial_of.get(&pair).and_then(|key| outward.dials.get_mut(*key)) {
            if known.delivered.is_some() {
                outward.inject(packet.bytes);
            }
            return;
        }
        match outward.dial_quota.check(pair.inside.ip()) {
            Ok(()) => {}
            // It sends its SYN again in a second.
            Err(Exceeded::Share | Exceeded::All) => return,
        }
        let socket = match outward.target(pair.outside) {
            Ok(target) => connect(&mut outward.source_ports, target, packet.hops),
            Err(reason) => return outward.refuse(packet, reason),
        };
        match socket {
            Ok(socket) => {
                let syn = packet.bytes.to_vec();
                self.await_dial(Dial { pair, since: Instant::now(), socket, syn, delivered: None });
            }
            Err(errno) => {
                self.scarcity.met(errno);
                if let Some(reason) = reason(errno) {
                    outward.refuse(packet, reason);
                }
            }
        }
    }

    fn await_dial(&mut self, dial: Dial) {
        let Some(outward) = &mut self.outward else { return };
        let pair = dial.pair;
        let key = outward.dials.insert(dial);
        outward.dial_of.insert(pair, key);
        outward.dial_quota.take(pair.inside.ip());
        let socket = outward.dials.get_mut(key).map(|dial| dial.socket.as_fd());
        let added = socket.map(|socket| self.poll.add_edges(socket, Token::Dial(key)));
        if !matches!(added, Some(Ok(()))) {
            outward.end_dial(key);
        }
    }

    /// Something happened to the host's side.
    pub(crate) fn dialled(&mut self, key: Key, ready: Ready) {
        let Some(outward) = &mut self.outward else { return };
        let Some(dial) = outward.dials.get_mut(key) else { return };
        match socket::connected(&dial.socket, ready) {
            Err(errno) => outward.fail_dial(key, errno),
            Ok(true) if dial.delivered.is_none() => {
                dial.delivered = Some(Instant::now());
                if dial.pair.outside.is_ipv6() {
                    // From here on an error on the way would break the connection instead of being waited out.
                    told::listen(&dial.socket, false, false).ok();
                }
                let syn = std::mem::take(&mut dial.syn);
                outward.inject(&syn);
            }
            // Data is early: it waits in the socket.
            Ok(_) => {}
        }
    }

    /// Containers' connections that the catching listener has.
    pub(crate) fn take_caught(&mut self, index: usize) {
        for _ in Self::turn() {
            let Some(outward) = &mut self.outward else { return };
            let Some(Some(catcher)) = outward.catchers.get(index) else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::acceptfrom_with(catcher, flags) {
                Ok((inner, Some(peer))) => {
                    let key = pair_of(&inner, peer).and_then(|pair| outward.dial_of.get(&pair).copied());
                    match key.and_then(|key| outward.end_dial(key)) {
                        Some(outer) => self.join_streams(None, tcp::Flow::joined(inner, outer)),
                        // Nobody dialled: the host's side broke meanwhile.
                        None => {
                            socket::reset_on_close(&inner).ok();
                        }
                    }
                }
                Ok((_, None)) | Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                    let refused = self.refuse_one(errno, |server| {
                        let catcher = server.outward.as_ref()?.catchers.get(index)?.as_ref()?;
                        rustix::net::accept_with(catcher, SocketFlags::CLOEXEC).ok()
                    });
                    if !refused {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

/// A transparent socket's own address is the one that its peer asked for.
fn pair_of(inner: &OwnedFd, peer: rustix::net::SocketAddrAny) -> Option<Pair> {
    let outside = rustix::net::getsockname(inner).ok().and_then(socket::internet)?;
    Some(Pair { inside: socket::internet(peer)?, outside })
}

fn connect(ports: &mut SourcePorts, target: SocketAddr, hops: u8) -> Result<OwnedFd, Errno> {
    if let Some(connected) = connect_from(&ports.choose(target, Instant::now()), target, hops) {
        return connected;
    }
    let socket = socket::outside(Protocol::Tcp, Family::of(&target))?;
    match start(&socket, target, hops) {
        Err(Errno::ADDRNOTAVAIL) => {
            connect_from(&ports.last_resort(), target, hops).unwrap_or(Err(Errno::ADDRNOTAVAIL))
        }
        other => other.map(|()| socket),
    }
}

/// Connects from the first of these ports that is to be had.
fn connect_from(ports: &[u16], target: SocketAddr, hops: u8) -> Option<Result<OwnedFd, Errno>> {
    ports.iter().find_map(|port| {
        let socket = match socket::outside(Protocol::Tcp, Family::of(&target)) {
            Ok(socket) => socket,
            Err(errno) => return Some(Err(errno)),
        };
        match bind_reusing(&socket, *port, &target).and_then(|()| start(&socket, target, hops)) {
            // Somebody else has it, or it leads there already.
            Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL | Errno::ACCESS) => None,
            other => Some(other.map(|()| socket)),
        }
    })
}

fn bind_reusing(socket: &OwnedFd, port: u16, target: &SocketAddr) -> Result<(), Errno> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    options::set_socket_reuseaddr(socket, true)?;
    rustix::net::bind(socket, &SocketAddr::new(any, port))
}

fn start(socket: &OwnedFd, target: SocketAddr, hops: u8) -> Result<(), Errno> {
    told::limit_hops(socket, target.is_ipv4(), hops)?;
    if target.is_ipv6() {
        // While a connection is on its way those of IPv4 are queued anyway.
        told::listen(socket, false, true)?;
    }
    match rustix::net::connect(socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(errno) => Err(errno),
    }
}
