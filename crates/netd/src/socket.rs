//! Making sockets, and reading what they are.

use crate::{
    poll::Ready,
    proto::{Listen, Protocol},
    segments,
};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrAny, SocketFlags, SocketType, sockopt as options},
};
use std::{
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4096;

/// IP version 4 or 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn raw(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::INET,
            Self::V6 => AddressFamily::INET6,
        }
    }
}

/// A socket of one of the two protocols that are forwarded, in the calling thread's network namespace.
pub(crate) fn new(protocol: Protocol, family: Family) -> Result<OwnedFd, Errno> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
        Protocol::Sctp => return Err(Errno::PROTONOSUPPORT),
    };
    rustix::net::socket_with(family.raw(), kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// A socket towards containers: it may take a foreign address (ip(7), `IP_TRANSPARENT`; the option of level IP also
/// serves IPv6 sockets, `ipv6_setsockopt`), and shares a client's port with its other connections.
pub(crate) fn towards_container(
    protocol: Protocol,
    family: Family,
    transparent: bool,
) -> Result<OwnedFd, Errno> {
    let socket = new(protocol, family)?;
    options::set_socket_reuseaddr(&socket, true)?;
    if transparent {
        setsockopt(&socket, sockopt::IpTransparent, &true).map_err(errno)?;
    }
    if protocol == Protocol::Tcp {
        set_container_options(&socket)?;
    }
    Ok(socket)
}

/// Has the kernel choose the port at connect(2), checked against the whole connection rather than reserved (ip(7), since
/// Linux 4.2).
pub(crate) fn choose_port_late(socket: &OwnedFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true).map_err(errno)
}

/// A socket towards the world, for what containers send out.
pub(crate) fn outside(protocol: Protocol, family: Family) -> Result<OwnedFd, Errno> {
    let socket = new(protocol, family)?;
    if family == Family::V6 {
        // `::ffff:…` is no way to IPv4 for a container.
        options::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        set_stream_options(&socket)?;
    }
    Ok(socket)
}

/// Whether a socket that was told to connect is connected by now, after an event for it.
///
/// # Errors
/// Why it will not be.
pub(crate) fn connected(socket: &OwnedFd, ready: Ready) -> Result<bool, Errno> {
    if !ready.broken {
        // A connection on its way is ready for nothing (tcp_poll()).
        return Ok(ready.writable);
    }
    options::socket_error(socket)??;
    // Connected, and ended by both sides since.
    if matches!(rustix::net::getpeername(socket), Ok(Some(_))) { Ok(true) } else { Err(Errno::CONNRESET) }
}

/// What every stream on either side has: no delay, and keep-alive, which alone ends a flow whose peer vanished.
pub(crate) fn set_stream_options(socket: impl AsFd) -> Result<(), Errno> {
    options::set_tcp_nodelay(&socket, true)?;
    options::set_socket_keepalive(&socket, true)
}

/// What streams towards containers have besides: they notice within two minutes that the container is gone without a
/// word, its network namespace having gone with it. Where it lives its kernel answers, paused or not.
pub(crate) fn set_container_options(socket: impl AsFd) -> Result<(), Errno> {
    set_stream_options(&socket)?;
    options::set_tcp_keepidle(&socket, Duration::from_secs(60))?;
    options::set_tcp_keepintvl(&socket, Duration::from_secs(10))?;
    options::set_tcp_keepcnt(&socket, 5)
}

/// Which step of [`listen`] failed.
pub(crate) type Failure = (&'static str, Errno);

/// A socket that listens on the host.
pub(crate) fn listen(at: Listen) -> Result<OwnedFd, Failure> {
    let family = Family::of(&at.address);
    let socket = new(at.protocol, family).map_err(|e| ("socket", e))?;
    if family == Family::V6 {
        options::set_ipv6_v6only(&socket, true).map_err(|e| ("setsockopt", e))?;
    }
    if at.protocol == Protocol::Tcp {
        // Connections of a predecessor in TIME_WAIT do not keep the port from us.
        options::set_socket_reuseaddr(&socket, true).map_err(|e| ("setsockopt", e))?;
    }
    rustix::net::bind(&socket, &at.address).map_err(|e| ("bind", e))?;
    prepare_listener(&socket, at)?;
    Ok(socket)
}

/// Has a socket of the router namespace listen to containers, one of IPv6 by IPv4 too with `both`. Not as a transparent
/// one: a listener at every address that is transparent is the owner of every packet to its port, whatever host that is
/// for (`nft_socket`).
pub(crate) fn listen_to_gateways(socket: &OwnedFd, at: SocketAddr, both: bool) -> Result<(), Errno> {
    setsockopt(socket, sockopt::IpTransparent, &false).map_err(errno)?;
    if at.is_ipv6() {
        options::set_ipv6_v6only(socket, !both)?;
    }
    rustix::net::bind(socket, &at)?;
    rustix::net::listen(socket, BACKLOG)
}

/// Makes a bound socket, ours or one passed to us, ready to be polled.
pub(crate) fn prepare_listener(socket: &OwnedFd, at: Listen) -> Result<(), Failure> {
    rustix::io::ioctl_fionbio(socket, true).map_err(|e| ("ioctl", e))?;
    match (at.protocol, Family::of(&at.address)) {
        (Protocol::Tcp, _) => {
            // Accepted sockets have what their listener had (`sk_clone_lock()`).
            set_stream_options(socket).map_err(|e| ("setsockopt", e))?;
            rustix::net::listen(socket, BACKLOG).map_err(|e| ("listen", e))
        }
        (Protocol::Udp, Family::V4) => {
            segments::accept(socket).map_err(|e| ("setsockopt", e))?;
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true).map_err(|e| ("setsockopt", errno(e)))
        }
        (Protocol::Udp, Family::V6) => {
            segments::accept(socket).map_err(|e| ("setsockopt", e))?;
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true).map_err(|e| ("setsockopt", errno(e)))
        }
        (Protocol::Sctp, _) => Err(("socket", Errno::PROTONOSUPPORT)),
    }
}

/// What a socket made by someone else is bound to; none when it is neither TCP nor UDP.
pub fn bound_to(socket: impl AsFd) -> Option<Listen> {
    let address = internet(rustix::net::getsockname(&socket).ok()?)?;
    let protocol = match options::socket_type(&socket).ok()? {
        SocketType::STREAM => Protocol::Tcp,
        SocketType::DGRAM => Protocol::Udp,
        _ => return None,
    };
    Some(Listen { protocol, address })
}

/// The address as the standard library has it; none for other families. An IPv4 address that an IPv6 socket shows as
/// `::ffff:…` is an IPv4 one.
pub(crate) fn internet(address: SocketAddrAny) -> Option<SocketAddr> {
    let address = SocketAddr::try_from(address).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Congestion controls that go by losses, without a timer between segments.
const BY_LOSS: [&str; 2] = ["cubic", "reno"];

/// Has a stream whose peer is an address of the host itself send without pacing. It never leaves the machine, and with BBR,
/// the host's choice for the world, the timer of each pause costs more time than the data (`tcp_pacing_check`).
pub(crate) fn unpace_within_host(stream: impl AsFd) -> Result<(), Errno> {
    let own = internet(rustix::net::getsockname(&stream)?).map(|a| a.ip());
    let peers = rustix::net::getpeername(&stream)?.and_then(internet).map(|a| a.ip());
    // What a host sends to itself has one address at both ends (RFC 6724, section 5, rule 1).
    if own.is_none() || own != peers || BY_LOSS.contains(&options::tcp_congestion(&stream)?.as_str()) {
        return Ok(());
    }
    options::set_tcp_congestion(stream, "reno")
}

/// Closing the socket then resets the connection instead of ending it (socket(7), `SO_LINGER`).
pub(crate) fn reset_on_close(socket: impl AsFd) -> Result<(), Errno> {
    options::set_socket_linger(socket, Some(Duration::ZERO))
}

pub(crate) fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SocketAddrAny, accept, bind, connect, getsockname};
    use std::net::{IpAddr, Ipv4Addr};

    /// A connection between two addresses of loopback, and what its sender goes by after [`unpace_within_host`].
    fn congestion_between(from: Ipv4Addr, to: Ipv4Addr, at_first: &str) -> String {
        let at = |ip| SocketAddrAny::from(SocketAddr::new(IpAddr::V4(ip), 0));
        let [listener, sender] =
            [(); 2].map(|()| rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap());
        bind(&listener, &at(to)).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        bind(&sender, &at(from)).unwrap();
        connect(&sender, &getsockname(&listener).unwrap()).unwrap();
        let _accepted = accept(&listener).unwrap();
        options::set_tcp_congestion(&sender, at_first).unwrap();
        unpace_within_host(&sender).unwrap();
        options::tcp_congestion(&sender).unwrap()
    }

    #[test]
    fn only_what_stays_within_the_host_is_not_paced() {
        const PACED: &str = "bbr";
        let offered = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control").unwrap();
        if !offered.split_whitespace().any(|name| name == PACED) {
            eprintln!("skipped: the kernel offers no {PACED} (tcp_bbr) to this user, only {offered}");
            return;
        }
        let [one, other] = [1, 2].map(|last| Ipv4Addr::new(127, 0, 0, last));
        assert_eq!(congestion_between(one, one, PACED), "reno");
        // As two hosts would have it.
        assert_eq!(congestion_between(one, other, PACED), PACED);
    }

    #[test]
    fn what_goes_by_losses_stays_as_it_is() {
        const OTHER: &str = "cubic";
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        if let Err(errno) = options::set_tcp_congestion(&socket, OTHER) {
            eprintln!("skipped: {OTHER} (tcp_cubic): {errno}");
            return;
        }
        assert_eq!(congestion_between(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, OTHER), OTHER);
    }
}
