//! The filter that ties a socket of the host's to one peer.
//!
//! It runs for every segment that the kernel would give to the socket, before TCP sees it (`tcp_filter` in
//! net/ipv4/tcp_ipv4.c and net/ipv6/tcp_ipv6.c), also while the socket is connecting or listening. What does not come
//! from the peer is dropped, so a connection to anybody else never gets its SYN-ACK. Sockets that are accepted inherit
//! it.

use std::net::{IpAddr, SocketAddr};
use sys::sockopt::Instruction;

/// `<linux/bpf_common.h>`
const LD_W_ABS: u16 = 0x20;
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const RSH_K: u16 = 0x74;
const JEQ_K: u16 = 0x15;
const RET_K: u16 = 0x06;

/// `SKF_NET_OFF` (`<linux/filter.h>`): from here on offsets count from the beginning of the IP header. Without it they
/// count from the TCP header's, where the source port comes first.
const NETWORK: u32 = (-0x10_0000_i32).cast_unsigned();
/// Of the source address.
const SOURCE_V4: u32 = 12;
const SOURCE_V6: u32 = 8;

/// Accepts what `peer`, with a canonical address, sent, and nothing else.
pub(crate) fn to(peer: SocketAddr) -> Vec<Instruction> {
    let mut loads = vec![(vec![(LD_B_ABS, NETWORK), (RSH_K, 4)], if peer.is_ipv4() { 4 } else { 6 })];
    match peer.ip() {
        IpAddr::V4(v4) => loads.push((vec![(LD_W_ABS, NETWORK + SOURCE_V4)], u32::from(v4))),
        IpAddr::V6(v6) => {
            let words = v6.octets().as_chunks::<4>().0.to_vec();
            let load = |(i, word): (u32, &[u8; 4])| {
                (vec![(LD_W_ABS, NETWORK + SOURCE_V6 + 4 * i)], u32::from_be_bytes(*word))
            };
            loads.extend((0..).zip(&words).map(load));
        }
    }
    loads.push((vec![(LD_H_ABS, 0)], peer.port().into()));
    let length: usize = loads.iter().map(|(load, _)| load.len() + 1).sum();
    let mut code = Vec::with_capacity(length + 2);
    for (load, value) in loads {
        code.extend(load.into_iter().map(|(code, k)| Instruction { code, jt: 0, jf: 0, k }));
        // To the last instruction, past the one that accepts.
        let to_drop = length - code.len();
        code.push(Instruction { code: JEQ_K, jt: 0, jf: to_drop as u8, k: value });
    }
    code.push(Instruction { code: RET_K, jt: 0, jf: 0, k: u32::MAX });
    code.push(Instruction { code: RET_K, jt: 0, jf: 0, k: 0 });
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    use std::{
        io::{ErrorKind, Read, Write},
        net::{Ipv4Addr, TcpListener, TcpStream},
        os::fd::OwnedFd,
        time::Duration,
    };

    fn socket(v6: bool, peer: SocketAddr) -> OwnedFd {
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        sys::sockopt::filter_for_good(&socket, &to(peer)).unwrap();
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(Duration::from_millis(300)))
            .unwrap();
        socket
    }

    fn serve(at: &str) -> SocketAddr {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                // A client that is gone does not want to know.
                stream.write_all(b"hello").ok();
            }
        });
        address
    }

    fn hear(socket: OwnedFd) -> String {
        let mut text = String::new();
        TcpStream::from(socket).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_locked_socket_reaches_its_peer_and_nobody_else() {
        let (one, two) = (serve("127.0.0.1:0"), serve("127.0.0.2:0"));
        let reached = socket(false, one);
        rustix::net::connect(&reached, &one).unwrap();
        assert_eq!(hear(reached), "hello");
        for other in [two, SocketAddr::new(one.ip(), two.port())] {
            let kept = socket(false, one);
            // The connection gets no answer: it is still on its way when the time is up (connect(2), SO_SNDTIMEO).
            let error = rustix::net::connect(&kept, &other).unwrap_err();
            let refused = other.ip() == one.ip();
            assert!(
                error == rustix::io::Errno::INPROGRESS,
                "{other}: {error} (refusals are dropped too: {refused})"
            );
        }
    }

    #[test]
    fn a_locked_socket_stays_locked_after_it_was_disconnected() {
        let (one, two) = (serve("127.0.0.1:0"), serve("127.0.0.2:0"));
        let socket = socket(false, one);
        rustix::net::connect(&socket, &one).unwrap();
        rustix::net::connect_unspec(&socket).unwrap();
        assert_eq!(rustix::net::connect(&socket, &two), Err(rustix::io::Errno::INPROGRESS));
    }

    #[test]
    fn six_and_four_in_sixs_clothes() {
        let six = serve("[::1]:0");
        let reached = socket(true, six);
        rustix::net::connect(&reached, &six).unwrap();
        assert_eq!(hear(reached), "hello");
        let other = SocketAddr::new("fd00::1".parse().unwrap(), six.port());
        assert_eq!(rustix::net::connect(socket(true, other), &six), Err(rustix::io::Errno::INPROGRESS));
        let four = serve("127.0.0.1:0");
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), four.port());
        let reached = socket(true, four);
        rustix::net::connect(&reached, &mapped).unwrap();
        assert_eq!(hear(reached), "hello");
    }

    #[test]
    fn a_socket_that_listens_has_no_other_clients() {
        let peer: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let listener = socket(false, peer);
        rustix::net::bind(&listener, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        let address = TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
