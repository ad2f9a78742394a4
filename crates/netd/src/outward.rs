//! The way out: from containers to the host's network and beyond, without a TCP stack of our own.
//!
//! # Theory of operation
//! The router namespace's default route leads into a tun, whose packets are read here. But only packets that belong to
//! no socket get that far: each flow has a *transparent* socket in the router namespace that is bound to the remote
//! address, and a rule of nf_tables delivers to it what is its own (`network::netlink::nft`). So what is read here is
//! the first packet of each flow, echo requests, and strays.
//!
//! ```text
//!   TCP    SYN ──► host-side socket connects (dial)
//!            connected: the saved SYN is written back into the tun, where nf_tables leads it to a transparent
//!                       listener (TPROXY); accepted there, joined with the host-side socket: a tcp::Flow like others
//!            refused:   reset;  unreachable: ICMP;  time-out: silence, as on the wire
//!          any other segment ──► reset: its flow is gone (the forwarder was restarted)
//!   UDP    datagram ──► host-side socket connected to the remote, router-side one bound to the remote's address and
//!                       connected to the container (relay); then the datagram, whole or its fragments, is written back
//!                       into the tun and is the first that the router-side socket receives
//!   echo   request ──► ping socket (icmp(7)) ──► reply written into the tun
//! ```
//!
//! What is written into the tun is delivered here or goes to a bridge; a routing rule drops the rest, so that no packet
//! goes round.
//!
//! # What became of a packet on its way
//! An error is passed on as it was told to the host's kernel, from the router that told of it ([`told`]). How many routers a
//! packet may pass holds for the host-side socket: of each echo request, and of the first packet of a flow of TCP or UDP
//! (each probe of traceroute(8) is one). The host's kernel finds the MTU of each path for TCP. A datagram that does not fit
//! the path is cut by the host, and the container told, so that its own kernel knows better from then on; an echo request
//! that may not be cut is not sent.
//!
//! # Whom containers do not reach
//! The host's loopback, unless that was asked for, in any of its spellings ([`netstack::destination`]). With it allowed,
//! [`HOST_V4`] stands for it. [`RESOLVER_V4`] stands for the host's own first name server, on port 53 only.

pub(crate) mod dial;
pub(crate) mod echo;
mod quota;
pub(crate) mod relay;
mod resolver;
mod source_ports;
mod told;

use crate::{
    poll::{Poll, Token},
    proto::Protocol,
    server::Server,
    slab::{Key, Slab},
    socket::{self, Family},
};
use dial::Dial;
use echo::EchoFlow;
pub use echo::{PING_HINT, ping_socket};
use netstack::{Content, Packet, Reason, answer, destination, fragments::Fragments, packet};
use nix::sys::socket::{setsockopt, sockopt};
use quota::Quota;
use relay::Relay;
use rustix::{io::Errno, net::sockopt as options};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    time::Instant,
};
use told::Told;

/// The tun in the router namespace.
pub const INTERFACE: &str = "lichen0";
/// Where nf_tables leads saved SYNs, on the router namespace's loopback: packets of containers do not get there by
/// themselves (ip-sysctl.rst, `route_localnet`).
pub const CATCH_PORT: u16 = 9;
/// The tun's own address in the router namespace, and those that stand for the host's loopback and its name server:
/// slirp4netns(1)'s for IPv4. Those for IPv6 have a prefix that nobody else drew (RFC 4193; it spells "Lichen").
pub const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0xfd4c, 0x6963, 0x6865, 0x6e00, 0, 0, 0, 2);
pub const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
pub const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd4c, 0x6963, 0x6865, 0x6e00, 0, 0, 0, 3);

/// The largest packet there is.
const MAX_PACKET: usize = 65_536;

/// What the forwarder may do outward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Containers may reach the host's loopback, at [`HOST_V4`] and [`HOST_V6`].
    pub host_loopback: bool,
}

/// What was opened in the router namespace.
pub(crate) struct Opened {
    tun: OwnedFd,
    /// Listeners of IPv4 and, where there is IPv6, of that.
    catchers: [Option<OwnedFd>; 2],
}

/// Opens the tun and the listeners in the calling thread's network namespace.
pub(crate) fn open() -> io::Result<Opened> {
    let tun = sys::tun::open(INTERFACE)?;
    let v4 = catcher(Family::V4, Ipv4Addr::LOCALHOST.into())?;
    // A kernel without IPv6 routes none.
    let v6 = catcher(Family::V6, Ipv6Addr::LOCALHOST.into()).ok();
    Ok(Opened { tun, catchers: [Some(v4), v6] })
}

fn catcher(family: Family, loopback: IpAddr) -> io::Result<OwnedFd> {
    let socket = socket::new(Protocol::Tcp, family)?;
    options::set_socket_reuseaddr(&socket, true)?;
    setsockopt(&socket, sockopt::IpTransparent, &true)?;
    // Accepted sockets have what their listener had.
    socket::set_container_options(&socket)?;
    rustix::net::bind(&socket, &SocketAddr::new(loopback, CATCH_PORT))?;
    rustix::net::listen(&socket, socket::BACKLOG)?;
    Ok(socket)
}

/// The two ends of a flow, as the container sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub inside: SocketAddr,
    pub outside: SocketAddr,
}

/// The state of the way out.
pub(crate) struct Outward {
    settings: Settings,
    tun: OwnedFd,
    catchers: [Option<OwnedFd>; 2],
    buffer: Vec<u8>,
    pub(crate) dials: Slab<Dial>,
    dial_of: HashMap<Pair, Key>,
    dial_quota: Quota,
    pub(crate) relays: Slab<Relay>,
    relay_of: HashMap<Pair, Key>,
    relay_quota: Quota,
    mappings: relay::Mappings,
    pub(crate) echoes: Slab<EchoFlow>,
    echo_of: HashMap<echo::Asker, Key>,
    resolver: resolver::HostResolver,
    source_ports: source_ports::SourcePorts,
    fragments: Fragments,
    told_about_ping: bool,
    /// How reading the tun failed last.
    read_failed: Option<Errno>,
}

impl Outward {
    pub(crate) fn new(opened: Opened, settings: Settings, poll: &Poll) -> Result<Self, Errno> {
        poll.add_input(&opened.tun, Token::Tun)?;
        for (index, catcher) in opened.catchers.iter().enumerate() {
            if let Some(catcher) = catcher {
                poll.add_input(catcher, Token::Caught(Key { index: index as u32, generation: 0 }))?;
            }
        }
        Ok(Self {
            settings,
            tun: opened.tun,
            catchers: opened.catchers,
            buffer: vec![0; MAX_PACKET],
            dials: Slab::default(),
            dial_of: HashMap::new(),
            dial_quota: Quota::new(dial::MAX_DIALS),
            relays: Slab::default(),
            relay_of: HashMap::new(),
            relay_quota: Quota::new(relay::MAX_RELAYS),
            mappings: relay::Mappings::default(),
            echoes: Slab::default(),
            echo_of: HashMap::new(),
            resolver: resolver::HostResolver::default(),
            source_ports: source_ports::SourcePorts::of_the_host(),
            fragments: Fragments::default(),
            told_about_ping: false,
            read_failed: None,
        })
    }

    /// Whether time-outs have to be looked for.
    pub(crate) fn is_busy(&self) -> bool {
        self.dials.len() + self.relays.len() + self.echoes.len() > 0
    }

    /// Where a packet for `outside` goes in the host's namespace, or why it does not.
    fn target(&mut self, outside: SocketAddr) -> Result<SocketAddr, Reason> {
        let at = |ip: IpAddr| SocketAddr::new(ip, outside.port());
        match outside.ip() {
            IpAddr::V4(HOST_V4) if self.settings.host_loopback => Ok(at(Ipv4Addr::LOCALHOST.into())),
            IpAddr::V6(HOST_V6) if self.settings.host_loopback => Ok(at(Ipv6Addr::LOCALHOST.into())),
            IpAddr::V4(HOST_V4) | IpAddr::V6(HOST_V6) => Err(Reason::Prohibited),
            IpAddr::V4(RESOLVER_V4) | IpAddr::V6(RESOLVER_V6) if outside.port() != 53 => Err(Reason::Port),
            IpAddr::V4(RESOLVER_V4) | IpAddr::V6(RESOLVER_V6) => {
                self.resolver.first().map(at).ok_or(Reason::Host)
            }
            ip if destination::is_reachable(ip) => Ok(outside),
            _ => Err(Reason::Prohibited),
        }
    }

    /// Writes a packet into the tun. A full queue loses it, as any router's would; whoever waits for it sends again.
    fn inject(&self, packet: &[u8]) {
        rustix::io::write(&self.tun, packet).ok();
    }

    /// Answers what became of a packet of this pair's on its way.
    fn pass_on(&self, packet: &Packet<'_>, pair: Pair, told: &Told) {
        let answer = match (packet.content, told.reason) {
            (Content::Tcp(segment), Reason::Port) => answer::reset(packet, &segment),
            (_, reason) => answer::error_from(told.by(pair), packet, reason),
        };
        answer.iter().for_each(|answer| self.inject(answer));
    }

    /// Answers that a packet cannot be delivered.
    fn refuse(&self, packet: &Packet<'_>, reason: Reason) {
        let answer = match packet.content {
            Content::Tcp(segment) if reason == Reason::Port => answer::reset(packet, &segment),
            _ => answer::unreachable(packet, reason),
        };
        if let Some(answer) = answer {
            self.inject(&answer);
        }
    }
}

/// What the host's refusal means to the container; none where the container had better go on waiting.
fn reason(errno: Errno) -> Option<Reason> {
    match errno {
        // Without descriptors nothing can be connected; to be told is better than to wait for a time-out.
        Errno::CONNREFUSED | Errno::CONNRESET | Errno::MFILE | Errno::NFILE => Some(Reason::Port),
        Errno::NETUNREACH | Errno::NETDOWN | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => {
            Some(Reason::Network)
        }
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Some(Reason::Host),
        Errno::ACCESS | Errno::PERM | Errno::INVAL => Some(Reason::Prohibited),
        _ => None,
    }
}

impl Server {
    /// Starts leading out.
    pub(crate) fn lead_outward(&mut self, opened: Opened, settings: Settings) -> Result<(), Errno> {
        self.outward = Some(Outward::new(opened, settings, &self.poll)?);
        Ok(())
    }

    /// Packets of containers that belong to no socket.
    ///
    /// # Errors
    /// EBADFD: the tun's interface is gone, and nothing leads here any more (drivers/net/tun.c, `tun_chr_read_iter`).
    pub(crate) fn take_packets(&mut self) -> Result<(), Errno> {
        for _ in Self::turn() {
            let Some(outward) = &mut self.outward else { return Ok(()) };
            let mut buffer = std::mem::take(&mut outward.buffer);
            let read = rustix::io::read(&outward.tun, &mut buffer);
            if let Ok(length) = read
                && let Ok(packet) = packet::parse(&buffer[..length])
            {
                self.take_packet(&packet);
            }
            if let Some(outward) = &mut self.outward {
                outward.buffer = buffer;
            }
            match read {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::BADFD) => return Err(Errno::BADFD),
                Err(errno) => {
                    self.unread(errno);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// One packet is lost, and every flow would be with this process; of many in a row the first is told of.
    fn unread(&mut self, errno: Errno) {
        let Some(outward) = &mut self.outward else { return };
        if outward.read_failed.replace(errno) != Some(errno) {
            eprintln!("netd: read a packet from {INTERFACE}: {errno}");
        }
    }

    fn take_packet(&mut self, packet: &Packet<'_>) {
        let Some(outward) = &self.outward else { return };
        match (packet.content, packet.ends()) {
            (Content::Tcp(segment), Some((inside, outside))) if segment.flags.opens() => {
                self.dial(packet, Pair { inside, outside });
            }
            (Content::Tcp(_), _) => outward.refuse(packet, Reason::Port),
            (Content::Udp { .. }, Some((inside, outside))) => self.relay(packet, Pair { inside, outside }),
            (Content::Echo(echo), _) => self.echo(packet, &echo),
            (Content::Fragment, _) if Fragments::concerns(packet) => {
                let whole = self.outward.as_mut().and_then(|outward| outward.fragments.add(packet));
                if let Some(Ok(packet)) = whole.as_deref().map(packet::parse) {
                    // Its sender has cut it, as the host may.
                    self.take_packet(&Packet { may_be_cut: true, ..packet });
                }
            }
            // The kernel puts it together with the others; without the first, in vain.
            (Content::Fragment, _) => outward.inject(packet.bytes),
            (Content::Udp { .. } | Content::Other(_), _) => outward.refuse(packet, Reason::Prohibited),
        }
    }

    /// Ends what has been idle for too long.
    pub(crate) fn sweep_outward(&mut self, now: Instant) {
        let Some(outward) = &mut self.outward else { return };
        let dials: Vec<Key> =
            outward.dials.iter_mut().filter(|(_, d)| d.is_overdue(now)).map(|(k, _)| k).collect();
        let relays: Vec<Key> =
            outward.relays.iter_mut().filter(|(_, r)| r.is_idle(now)).map(|(k, _)| k).collect();
        let echoes: Vec<Key> =
            outward.echoes.iter_mut().filter(|(_, e)| e.is_idle(now)).map(|(k, _)| k).collect();
        let abandoned = dials.into_iter().filter_map(|key| outward.end_dial(key));
        // The remote was told nothing yet; a reset says that there is nothing to come.
        abandoned.for_each(|socket| {
            socket::reset_on_close(&socket).ok();
        });
        relays.into_iter().for_each(|key| outward.end_relay(key));
        echoes.into_iter().for_each(|key| outward.end_echo(key));
    }
}
