//! Published UDP ports.
//!
//! # Theory of operation
//! Each client of a port, told apart by its address and by the address of ours that it sends to, has a flow: a
//! router-side socket connected to the container, bound to the client's own address where that can be kept. What the
//! client sends goes out of the flow's socket; what comes back on it is sent to the client from the port's listener,
//! with the source address that the client knows (ip(7), `IP_PKTINFO`).
//!
//! A flow ends when nothing has passed for a while, as in the kernel's connection tracking: soon when the container
//! never answered, later when it did. At most [`MAX_FLOWS`] exist at once; then the one that has been idle longest
//! makes room, so that a flood of forged addresses costs a bounded amount of memory.

use crate::{
    segments::{self, Received},
    socket,
};
use nix::{
    libc,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg},
};
use rustix::io::Errno;
use std::{
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

/// Flows of all ports together.
pub(crate) const MAX_FLOWS: usize = 8192;
/// `nf_conntrack_udp_timeout` and `nf_conntrack_udp_timeout_stream`.
const UNANSWERED: Duration = Duration::from_secs(30);
const ANSWERED: Duration = Duration::from_secs(120);

/// The largest datagram there is.
pub(crate) const MAX_DATAGRAM: usize = 65_536;

/// Who talks to which address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    pub address: SocketAddr,
    pub local: IpAddr,
}

/// One client's flow to one container.
pub(crate) struct Flow {
    pub client: Client,
    pub port: crate::slab::Key,
    pub socket: OwnedFd,
    pub since: Instant,
    pub last: Instant,
    /// To the container and from it.
    pub bytes: [u64; 2],
    pub answered: bool,
}

impl Flow {
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= if self.answered { ANSWERED } else { UNANSWERED }
    }
}

/// Receives datagrams of a port: who sent them, and where to.
pub(crate) fn receive(listener: &OwnedFd, buffer: &mut [u8]) -> Result<Option<(Received, Client)>, Errno> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo, i32);
    let mut slices = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(listener.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
            .map_err(socket::errno)?;
    let said: Vec<ControlMessageOwned> = message.cmsgs().map_err(socket::errno)?.collect();
    let local = said.iter().find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))),
        _ => None,
    });
    let address = message.address.as_ref().and_then(to_std);
    let received = Received::new(message.bytes, said);
    Ok(address.zip(local).map(|(address, local)| (received, Client { address, local })))
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())))
}

/// Sends datagrams to a client from the address it knows.
pub(crate) fn answer(listener: &OwnedFd, client: Client, data: &[u8], each: usize) -> Result<(), Errno> {
    let to = SockaddrStorage::from(client.address);
    let (v4, v6);
    let from = match client.local {
        IpAddr::V4(local) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(local).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(local) => {
            v6 = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: local.octets() },
                ipi6_ifindex: scope(&client.address),
            };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let alone = |datagram: &[u8]| segments::send_with(listener, Some(&to), datagram, &[from]);
    segments::send(data, each, |size| segments::send_with(listener, Some(&to), data, &[from, size]), alone)
}

/// A link-local client is reached by the interface its packets came in on.
fn scope(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}
