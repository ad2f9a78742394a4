//! Carrying a socket's options over to the one that takes its place.
//!
//! What a program has set before connect(2) is read from its socket, and set where it differs from what a new socket has.
//! An option that the host's kernel refuses to us (a congestion control that only root may choose) stays as it is
//! there, as it would for a program outside of any container.

use nix::libc;
use std::os::fd::{AsFd, BorrowedFd};
use sys::sockopt::{self, Name, Value};

const fn socket(name: i32) -> Name {
    Name { level: libc::SOL_SOCKET, name }
}

const fn ip(name: i32) -> Name {
    Name { level: libc::IPPROTO_IP, name }
}

const fn ipv6(name: i32) -> Name {
    Name { level: libc::IPPROTO_IPV6, name }
}

const fn tcp(name: i32) -> Name {
    Name { level: libc::IPPROTO_TCP, name }
}

/// Those that mean the same on both sides. Not there: devices, marks and source addresses, which are the network
/// namespace's; fast open, with which connect(2) does not connect; what can be set after connecting only.
const COPIED: &[Name] = &[
    socket(libc::SO_KEEPALIVE),
    socket(libc::SO_LINGER),
    socket(libc::SO_OOBINLINE),
    socket(libc::SO_RCVLOWAT),
    socket(libc::SO_RCVTIMEO),
    socket(libc::SO_SNDTIMEO),
    socket(libc::SO_REUSEADDR),
    socket(libc::SO_PRIORITY),
    socket(libc::SO_TIMESTAMP),
    socket(libc::SO_TIMESTAMPNS),
    socket(libc::SO_TIMESTAMPING),
    socket(libc::SO_ZEROCOPY),
    socket(libc::SO_BUSY_POLL),
    socket(libc::SO_MAX_PACING_RATE),
    ip(libc::IP_TOS),
    ip(libc::IP_TTL),
    ip(libc::IP_MTU_DISCOVER),
    ip(libc::IP_RECVERR),
    ip(libc::IP_RECVTOS),
    ip(libc::IP_RECVTTL),
    ipv6(libc::IPV6_V6ONLY),
    ipv6(libc::IPV6_TCLASS),
    ipv6(libc::IPV6_UNICAST_HOPS),
    ipv6(libc::IPV6_MTU_DISCOVER),
    ipv6(libc::IPV6_RECVERR),
    ipv6(libc::IPV6_RECVTCLASS),
    ipv6(libc::IPV6_RECVHOPLIMIT),
    tcp(libc::TCP_NODELAY),
    tcp(libc::TCP_CORK),
    tcp(libc::TCP_KEEPIDLE),
    tcp(libc::TCP_KEEPINTVL),
    tcp(libc::TCP_KEEPCNT),
    tcp(libc::TCP_SYNCNT),
    tcp(libc::TCP_LINGER2),
    tcp(libc::TCP_WINDOW_CLAMP),
    tcp(libc::TCP_QUICKACK),
    tcp(libc::TCP_USER_TIMEOUT),
    tcp(libc::TCP_NOTSENT_LOWAT),
    tcp(libc::TCP_THIN_LINEAR_TIMEOUTS),
    tcp(libc::TCP_INQ),
];

const CONGESTION: Name = tcp(libc::TCP_CONGESTION);
/// What namespaces of containers begin with where the host goes by something else (`by_loss` in crate `network`): right for
/// the way to the forwarder, no program's choice, and not the host's choice for the world.
const UNCHOSEN: &[u8] = b"reno\0";

/// A buffer's size, and the bit of `SO_BUF_LOCK` (Linux 5.14) that says that a program chose it. The kernel shows twice
/// what was set (socket(7)).
const BUFFERS: [(Name, i32); 2] = [(socket(libc::SO_SNDBUF), 1), (socket(libc::SO_RCVBUF), 2)];
/// `SO_BUF_LOCK` of `<asm-generic/socket.h>`, which all architectures of ours use.
const BUF_LOCK: Name = socket(72);

pub(crate) fn copy(from: BorrowedFd<'_>, to: impl AsFd) {
    let to = to.as_fd();
    for name in COPIED {
        copy_one(from, to, *name);
    }
    if sockopt::get(from, CONGESTION).is_ok_and(|value| !value.bytes().starts_with(UNCHOSEN)) {
        copy_one(from, to, CONGESTION);
    }
    let chosen = sockopt::get(from, BUF_LOCK).ok().and_then(|v| v.number()).unwrap_or(0);
    for (name, bit) in BUFFERS {
        let size = sockopt::get(from, name).ok().and_then(|v| v.number());
        if let Some(size) = size.filter(|_| chosen & bit != 0) {
            set(to, name, &Value::of(size / 2));
        }
    }
}

fn copy_one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: Name) {
    // One of them may be for the other version of IP, or for a younger kernel.
    let (Ok(wanted), Ok(there)) = (sockopt::get(from, name), sockopt::get(to, name)) else { return };
    if wanted.bytes() != there.bytes() {
        set(to, name, &wanted);
    }
}

/// See the head of this file about refusals.
fn set(to: BorrowedFd<'_>, name: Name, value: &Value) {
    sockopt::set(to, name, value).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, sockopt as options};
    use std::time::Duration;

    #[test]
    fn what_was_set_is_set_on_the_other_and_the_rest_is_left_alone() {
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            let make = || rustix::net::socket(family, SocketType::STREAM, None).unwrap();
            let (from, to, untouched) = (make(), make(), make());
            options::set_tcp_nodelay(&from, true).unwrap();
            options::set_socket_keepalive(&from, true).unwrap();
            options::set_tcp_keepidle(&from, Duration::from_secs(77)).unwrap();
            options::set_socket_linger(&from, Some(Duration::from_secs(3))).unwrap();
            options::set_socket_recv_buffer_size(&from, 20_000).unwrap();
            options::set_socket_timeout(&from, options::Timeout::Recv, Some(Duration::from_secs(9))).unwrap();
            copy(from.as_fd(), &to);
            assert!(options::tcp_nodelay(&to).unwrap() && options::socket_keepalive(&to).unwrap());
            assert_eq!(options::tcp_keepidle(&to).unwrap(), Duration::from_secs(77));
            assert_eq!(options::socket_linger(&to).unwrap(), Some(Duration::from_secs(3)));
            assert_eq!(options::socket_recv_buffer_size(&to).unwrap(), 40_000);
            let timeout = options::socket_timeout(&to, options::Timeout::Recv).unwrap();
            assert_eq!(timeout, Some(Duration::from_secs(9)));
            let send_buffer = |fd| options::socket_send_buffer_size(fd).unwrap();
            assert_eq!(send_buffer(&to), send_buffer(&untouched), "the kernel may go on choosing it");
            for name in COPIED {
                let value = |fd| sockopt::get(fd, *name).ok().map(|v| v.bytes().to_vec());
                assert_eq!(value(&to), value(&from), "{name:?}");
            }
        }
    }

    #[test]
    fn the_host_chooses_the_congestion_control_where_no_program_did() {
        let make = || rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let (from, to, untouched) = (make(), make(), make());
        options::set_tcp_congestion(&from, "reno").unwrap();
        copy(from.as_fd(), &to);
        assert_eq!(options::tcp_congestion(&to).unwrap(), options::tcp_congestion(&untouched).unwrap());
        // A module of the kernel's, which may be absent; and one that is the host's choice would show nothing.
        for other in ["cubic", "bbr"] {
            if options::set_tcp_congestion(&from, other).is_ok() {
                copy(from.as_fd(), &to);
                assert_eq!(options::tcp_congestion(&to).unwrap(), other);
            }
        }
    }
}
