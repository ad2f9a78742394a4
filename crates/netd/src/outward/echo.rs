//! Echo requests (ping): a ping socket for each asker and what it asks.
//!
//! Ping sockets need no privilege but membership in a group that `net.ipv4.ping_group_range` of the host names (icmp(7)).
//! The kernel gives each an identifier of its own, so the container's is put back into the replies.

use super::{Outward, Pair, reason, told};
use crate::{
    poll::{Ready, Token},
    server::Server,
    slab::Key,
};
use netstack::{Echo, Packet, Reason, answer, fragments, packet};
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType, ipproto, recv},
};
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

const MAX_ECHOES: usize = 256;
const IDLE: Duration = Duration::from_secs(30);
/// Type, code, checksum, identifier and sequence number (RFC 792, RFC 4443).
const HEADER: usize = 8;

/// Who asks whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asker {
    inside: IpAddr,
    outside: IpAddr,
    identifier: u16,
}

/// One asker's socket.
pub(crate) struct EchoFlow {
    asker: Asker,
    socket: OwnedFd,
    pub since: Instant,
    last: Instant,
    /// To the container and from it.
    pub bytes: [u64; 2],
    /// Of the last request, which an error is about that does not say.
    sequence: u16,
    /// What the socket lets packets do: routers to pass, and to be cut.
    allowed: Option<(u8, bool)>,
}

impl EchoFlow {
    pub(crate) fn pair(&self) -> Pair {
        let at = |ip| SocketAddr::new(ip, self.asker.identifier);
        Pair { inside: at(self.asker.inside), outside: at(self.asker.outside) }
    }

    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= IDLE
    }

    /// Has the next request go as far as this one may.
    fn allow(&mut self, packet: &Packet<'_>) -> Result<(), Errno> {
        let (wanted, v4) = ((packet.hops, packet.may_be_cut), packet.source.is_ipv4());
        if self.allowed != Some(wanted) {
            told::limit_hops(&self.socket, v4, packet.hops)?;
            told::let_cut(&self.socket, v4, packet.may_be_cut)?;
            self.allowed = Some(wanted);
        }
        Ok(())
    }
}

impl Outward {
    pub(crate) fn end_echo(&mut self, key: Key) {
        if let Some(flow) = self.echoes.remove(key) {
            self.echo_of.remove(&flow.asker);
        }
    }

    /// Says once why nobody can ping, and what to do.
    fn explain_ping(&mut self) {
        if !std::mem::replace(&mut self.told_about_ping, true) {
            eprintln!("netd: {PING_HINT}");
        }
    }
}

/// What to do when ping sockets are refused.
pub const PING_HINT: &str = "containers cannot ping hosts: add 'net.ipv4.ping_group_range = 0 2147483647' to \
                             /etc/sysctl.conf or /etc/sysctl.d and run `sudo sysctl --system`";

/// A ping socket in the calling thread's network namespace, if this user may have one.
pub fn ping_socket(v4: bool) -> Result<OwnedFd, Errno> {
    let (family, protocol) =
        if v4 { (AddressFamily::INET, ipproto::ICMP) } else { (AddressFamily::INET6, ipproto::ICMPV6) };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol))
}

impl Server {
    pub(crate) fn echo(&mut self, packet: &Packet<'_>, echo: &Echo<'_>) {
        let asker = Asker { inside: packet.source, outside: packet.destination, identifier: echo.identifier };
        match self.echo_flow(asker).and_then(|key| self.send_echo(key, packet, echo)) {
            // Of what does not fit the queue of errors tells, with the MTU that does.
            Ok(()) | Err(Errno::MSGSIZE) => {}
            Err(errno) => {
                self.scarcity.met(errno);
                if let (Some(outward), Some(reason)) = (&mut self.outward, reason(errno)) {
                    outward.refuse(packet, reason);
                }
            }
        }
    }

    fn echo_flow(&mut self, asker: Asker) -> Result<Key, Errno> {
        let outward = self.outward.as_mut().ok_or(Errno::NETUNREACH)?;
        if let Some(known) = outward.echo_of.get(&asker) {
            return Ok(*known);
        }
        // Port 1 is no service: the addresses that stand for the host's own services do not answer.
        let target = match outward.target(SocketAddr::new(asker.outside, 1)) {
            Ok(target) => SocketAddr::new(target.ip(), 0),
            Err(Reason::Port) => return Err(Errno::CONNREFUSED),
            Err(_) => return Err(Errno::PERM),
        };
        let socket = match ping_socket(target.is_ipv4()) {
            Err(errno @ Errno::ACCESS) => {
                outward.explain_ping();
                return Err(errno);
            }
            other => other?,
        };
        told::listen(&socket, target.is_ipv4(), true)?;
        rustix::net::connect(&socket, &target)?;
        if outward.echoes.len() >= MAX_ECHOES {
            let oldest = outward.echoes.iter_mut().min_by_key(|(_, flow)| flow.last).map(|(key, _)| key);
            oldest.into_iter().for_each(|key| outward.end_echo(key));
        }
        let now = Instant::now();
        let flow =
            EchoFlow { asker, socket, since: now, last: now, bytes: [0; 2], sequence: 0, allowed: None };
        let key = outward.echoes.insert(flow);
        outward.echo_of.insert(asker, key);
        let flow = outward.echoes.get_mut(key).expect("just inserted");
        match self.poll.add_input(&flow.socket, Token::Echo(key)) {
            Ok(()) => Ok(key),
            Err(errno) => {
                outward.end_echo(key);
                Err(errno)
            }
        }
    }

    fn send_echo(&mut self, key: Key, packet: &Packet<'_>, echo: &Echo<'_>) -> Result<(), Errno> {
        let Some(flow) = self.outward.as_mut().and_then(|outward| outward.echoes.get_mut(key)) else {
            return Ok(());
        };
        flow.last = Instant::now();
        flow.sequence = echo.sequence;
        flow.bytes[1] += echo.data.len() as u64;
        flow.allow(packet)?;
        let request = answer::echo_request(packet.source, packet.destination, echo);
        let header = if packet.source.is_ipv4() { 20 } else { 40 };
        told::send(&flow.socket, &request[header..])
    }

    /// Replies for a container, and what became of its requests.
    pub(crate) fn take_echoes(&mut self, key: Key, ready: Ready) {
        let Some(outward) = &mut self.outward else { return };
        for _ in Self::turn() {
            let Some(flow) = outward.echoes.get_mut(key) else { return };
            let received = recv(&flow.socket, &mut self.scratch[..], RecvFlags::empty());
            let Asker { inside, outside, identifier } = flow.asker;
            match received {
                Ok((_, length)) if length >= HEADER => {
                    let bytes = &self.scratch[..length];
                    let sequence = u16::from_be_bytes([bytes[6], bytes[7]]);
                    flow.bytes[0] += (length - HEADER) as u64;
                    let echo = Echo { identifier, sequence, data: &bytes[HEADER..] };
                    let reply = answer::echo_reply(inside, outside, &echo);
                    // Echoes of one asker are told apart by their sequence numbers.
                    let name = u32::from(identifier) << 16 | u32::from(sequence);
                    fragments::cut(reply, name).iter().for_each(|piece| outward.inject(piece));
                }
                Err(Errno::AGAIN) => break,
                // What an error is about is queued as well.
                Ok(_) | Err(_) => {}
            }
        }
        if ready.broken {
            outward.tell_asker(key);
        }
    }
}

impl Outward {
    fn tell_asker(&mut self, key: Key) {
        let Some(flow) = self.echoes.get_mut(key) else { return };
        let (pair, last, Asker { inside, outside, identifier }) = (flow.pair(), flow.sequence, flow.asker);
        for told in told::take(&flow.socket) {
            let (sequence, data) = told.echo().unwrap_or((last, &[]));
            let echo = Echo { identifier, sequence, data };
            let request = answer::echo_request(inside, outside, &echo);
            if let Ok(packet) = packet::parse(&request) {
                self.pass_on(&packet, pair, &told);
            }
        }
    }
}
