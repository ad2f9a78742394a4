//! What the host's kernel was told of packets that we sent: the queue of errors of a socket (ip(7), `IP_RECVERR`).
//!
//! An error number says that a host cannot be reached; the queue says which router said so, and that in truth a packet was
//! too large or had passed too many. So traceroute(8) and the discovery of a path's MTU work in containers.

use super::{HOST_V4, HOST_V6, Pair, RESOLVER_V4, RESOLVER_V6};
use crate::socket;
use netstack::{Reason, destination};
use nix::{
    cmsg_space, libc,
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
};
use rustix::{
    io::Errno,
    net::{
        SendFlags,
        sockopt::{self as options, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery},
    },
};
use std::{
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// As much as an error quotes.
const LONGEST: usize = 1280;
/// How many errors are taken at once.
const MOST: usize = 64;

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub reason: Reason,
    /// The router, or the host, that told of it; none when it was this host's kernel.
    by: Option<IpAddr>,
    /// Of the packet that it is about, as much as came back: of UDP the data, of an echo request the message. Routers return
    /// all that they can (RFC 4443, 3.1 and 3.3), or the first 8 bytes after the IP header (RFC 792); and traceroute6(8)
    /// knows its probes by their data.
    pub quoted: Vec<u8>,
}

impl Told {
    /// Of an echo request: its sequence number and its data.
    pub(super) fn echo(&self) -> Option<(u16, &[u8])> {
        let (header, data) = self.quoted.split_first_chunk::<8>()?;
        Some((u16::from_be_bytes([header[6], header[7]]), data))
    }

    /// Who it comes from for the container. What stands for something else of the host's speaks for itself.
    pub(super) fn by(&self, pair: Pair) -> IpAddr {
        let asked = pair.outside.ip();
        let stands_for_another =
            [HOST_V4.into(), HOST_V6.into(), RESOLVER_V4.into(), RESOLVER_V6.into()].contains(&asked);
        let fit = |by: &IpAddr| {
            !stands_for_another && by.is_ipv4() == asked.is_ipv4() && destination::is_reachable(*by)
        };
        self.by.filter(fit).unwrap_or(asked)
    }
}

/// Has errors queued, or no longer.
pub(super) fn listen(socket: &OwnedFd, v4: bool, yes: bool) -> Result<(), Errno> {
    match v4 {
        true => setsockopt(socket, sockopt::Ipv4RecvErr, &yes),
        false => setsockopt(socket, sockopt::Ipv6RecvErr, &yes),
    }
    .map_err(socket::errno)
}

/// Lets packets pass so many routers and no more.
pub(super) fn limit_hops(socket: impl AsFd, v4: bool, hops: u8) -> Result<(), Errno> {
    // Zero is no limit that could be set. Such a packet does not get here: the router namespace has answered it.
    let hops = hops.max(1);
    match v4 {
        true => options::set_ip_ttl(socket, hops.into()),
        false => options::set_ipv6_unicast_hops(socket, Some(hops)),
    }
}

/// Whether the kernel may cut what does not fit the path, or says that it does not fit (`EMSGSIZE`).
pub(super) fn let_cut(socket: impl AsFd, v4: bool, may_cut: bool) -> Result<(), Errno> {
    use {Ipv4PathMtuDiscovery as V4, Ipv6PathMtuDiscovery as V6};
    match v4 {
        true => options::set_ip_mtu_discover(socket, if may_cut { V4::WANT } else { V4::DO }),
        false => options::set_ipv6_mtu_discover(socket, if may_cut { V6::WANT } else { V6::DO }),
    }
}

/// Sends one datagram.
pub(super) fn send(socket: &OwnedFd, bytes: &[u8]) -> Result<(), Errno> {
    retry(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL).map(drop))
}

/// An error that waits to be told fails whatever is sent next (`sock_error()`), which has nothing to do with it.
pub(super) fn retry(send: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    match send() {
        Ok(()) => Ok(()),
        // What is wrong with this one: too large, no room, or not to be cut by the device.
        Err(errno @ (Errno::MSGSIZE | Errno::AGAIN | Errno::INVAL | Errno::IO)) => Err(errno),
        Err(_) => send(),
    }
}

/// Takes off the queue what means anything to a container. What is more than that is for the next event.
pub(super) fn take(socket: impl AsFd) -> Vec<Told> {
    (0..MOST).map_while(|_| take_one(&socket)).flatten().collect()
}

/// None when the queue is empty.
fn take_one(socket: &impl AsFd) -> Option<Option<Told>> {
    let mut control = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let mut quoted = vec![0; LONGEST];
    let mut slices = [IoSliceMut::new(&mut quoted)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut control), flags).ok()?;
    let length = message.bytes;
    let found = message.cmsgs().ok().and_then(|mut list| list.find_map(read));
    quoted.truncate(length);
    Some(found.map(|told| Told { quoted, ..told }))
}

fn read(message: ControlMessageOwned) -> Option<Told> {
    let (error, v4, by) = match message {
        ControlMessageOwned::Ipv4RecvErr(error, by) => {
            let of = |by: &libc::sockaddr_in| i32::from(by.sin_family) == libc::AF_INET;
            let by = by.filter(of).map(|by| IpAddr::from(Ipv4Addr::from(u32::from_be(by.sin_addr.s_addr))));
            (error, true, by)
        }
        ControlMessageOwned::Ipv6RecvErr(error, by) => {
            let of = |by: &libc::sockaddr_in6| i32::from(by.sin6_family) == libc::AF_INET6;
            let by = by.filter(of).map(|by| IpAddr::from(Ipv6Addr::from(by.sin6_addr.s6_addr)));
            (error, false, by)
        }
        _ => return None,
    };
    let reason = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => {
            Reason::of_icmp(v4, error.ee_type, error.ee_code, error.ee_info)?
        }
        // The kernel knows the path's MTU from an earlier error, or it is the device's.
        libc::SO_EE_ORIGIN_LOCAL if error.ee_errno == libc::EMSGSIZE.cast_unsigned() => {
            Reason::TooBig(error.ee_info)
        }
        _ => return None,
    };
    Some(Told { reason, by, quoted: Vec::new() })
}
