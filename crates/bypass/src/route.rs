//! By which device the host reaches an address (rtnetlink(7), RTM_GETROUTE), and tying a socket to it.

use nix::libc;
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
};
use std::{io, net::IpAddr, os::fd::AsFd};
use sys::sockopt::{self, Name, Value};

/// `<linux/rtnetlink.h>`
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTN_UNICAST: u8 = 1;
/// `struct nlmsghdr` and `struct rtmsg`.
const HEADER: usize = 16;
const ROUTE: usize = 12;

/// Ties a socket to the device of this index, by which alone it sends and receives from now on. It can be tied to another,
/// or untied, with CAP_NET_RAW over the host's network namespace only (socket(7), `SO_BINDTODEVICE`;
/// `sock_bindtoindex_locked`, which asks for no privilege the first time since Linux 5.7).
pub(crate) fn tie(socket: impl AsFd, device: u32) -> io::Result<()> {
    let name = Name { level: libc::SOL_SOCKET, name: libc::SO_BINDTOIFINDEX };
    Ok(sockopt::set(socket, name, &Value::of(device.cast_signed()))?)
}

/// The device by which packets for `destination` leave the host. None for the host's own addresses, and where there is no
/// way.
pub(crate) fn device(destination: IpAddr) -> io::Result<Option<u32>> {
    // NETLINK_ROUTE is the family's protocol 0.
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&socket, &request(destination), SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.get(..length).map(parse).ok_or_else(|| Errno::MSGSIZE.into())
}

fn request(destination: IpAddr) -> Vec<u8> {
    let (family, address) = match destination {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
    };
    let attribute = 4 + address.len();
    let mut bytes = ((HEADER + ROUTE + attribute) as u32).to_ne_bytes().to_vec();
    bytes.extend(RTM_GETROUTE.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, (address.len() * 8) as u8]);
    bytes.extend([0; ROUTE - 2]);
    bytes.extend((attribute as u16).to_ne_bytes());
    bytes.extend(RTA_DST.to_ne_bytes());
    bytes.extend(address);
    bytes
}

/// The device of a route to somebody else; none for any other answer.
fn parse(answer: &[u8]) -> Option<u32> {
    let number = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    if number(4)? != RTM_NEWROUTE || *answer.get(HEADER + 7)? != RTN_UNICAST {
        return None;
    }
    let mut at = HEADER + ROUTE;
    loop {
        let (length, kind) = (usize::from(number(at)?), number(at + 2)?);
        if kind == RTA_OIF {
            return Some(u32::from_ne_bytes(answer.get(at + 4..at + 8)?.try_into().ok()?));
        }
        // Attributes are aligned to four bytes; one shorter than its own head would be read for ever.
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{SocketAddr, TcpListener};

    fn socket() -> std::os::fd::OwnedFd {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
    }

    #[test]
    fn the_hosts_own_addresses_are_by_no_device() {
        for own in ["127.0.0.1", "127.8.8.8", "::1"] {
            assert_eq!(device(own.parse().unwrap()).unwrap(), None, "{own}");
        }
    }

    #[test]
    fn a_tied_socket_does_not_reach_loopback() {
        // Where there is no way out there is no device to be tied to.
        let Some(device) = device("192.0.2.200".parse().unwrap()).unwrap() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = socket();
        tie(&socket, device).unwrap();
        let result = rustix::net::connect(&socket, &listener.local_addr().unwrap());
        assert!(result.is_err(), "connected at once");
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let other = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(
            rustix::net::connect_unspec(&socket).is_ok() && rustix::net::connect(&socket, &other).is_err()
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
            let mut answer = bytes;
            if answer.len() > HEADER + 8 {
                answer[4..6].copy_from_slice(&RTM_NEWROUTE.to_ne_bytes());
                answer[HEADER + 7] = RTN_UNICAST;
                parse(&answer);
            }
        }
    }
}
