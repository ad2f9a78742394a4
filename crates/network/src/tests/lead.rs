//! The forwarder as the way out: what a container's programs see of the world, and the world of them.

use super::*;
use netd::outward::{HOST_V4, ping_socket};
use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Shutdown},
    sync::mpsc::channel,
};

/// A host whose forwarder leads out, and a container with both IP versions on it.
pub(super) fn host() -> (Host, Sandbox) {
    let host = Host::with(OutwardChoice::Lichen);
    host.networks.create(user_network("dual", |n| n.enable_ipv6 = Some(true))).unwrap();
    let (_, sandbox) = host.container(&["dual"], &[]);
    (host, sandbox)
}

const BOTH: [(&str, &str, &str); 2] = [("0.0.0.0:0", CLIENT, HOST), ("[::]:0", CLIENT6, HOST6)];

pub(super) fn at_port(address: &str, port: u16) -> String {
    SocketAddr::new(ip(address), port).to_string()
}

#[test]
fn tcp_and_udp_of_both_versions_reach_the_hosts_network() {
    testing::in_userns("tests::lead::tcp_and_udp_of_both_versions_reach_the_hosts_network", || {
        let (host, sandbox) = host();
        assert_eq!(host.networks.outward().driver, "lichen");
        for (any, client, seen) in BOTH {
            tcp_server(&host.client, &at_port(client, 7000), tell_peer);
            udp_server(&host.client, &at_port(client, 7001));
            assert_eq!(hear(&sandbox.netns, &at_port(client, 7000)).unwrap(), seen);
            let answer = ask_udp(&sandbox.netns, any, &at_port(client, 7001), "q").unwrap();
            assert_eq!(answer, format!("{seen} q"));
        }
    });
}

#[test]
fn what_the_host_is_refused_the_container_is_refused() {
    testing::in_userns("tests::lead::what_the_host_is_refused_the_container_is_refused", || {
        let (_host, sandbox) = host();
        for (any, client, _) in BOTH {
            let refused = connect(&sandbox.netns, &at_port(client, 7002)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let refused = ask_udp(&sandbox.netns, any, &at_port(client, 7002), "q").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        let unreachable = connect(&sandbox.netns, "[2001:db8:ffff::1]:80").unwrap_err();
        assert_eq!(unreachable.kind(), ErrorKind::NetworkUnreachable);
        for forbidden in ["10.0.2.2:80", "[fd4c:6963:6865:6e00::2]:80", "0.1.2.3:80"] {
            let error = connect(&sandbox.netns, forbidden).unwrap_err();
            assert!(
                !matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock),
                "{forbidden}: {error}"
            );
        }
    });
}

#[test]
fn the_hosts_loopback_is_reached_only_when_allowed() {
    testing::in_userns("tests::lead::the_hosts_loopback_is_reached_only_when_allowed", || {
        let host = Host::configured(OutwardChoice::Lichen, |outward| outward.disable_host_loopback = false);
        let (_, sandbox) = host.container(&["bridge"], &[]);
        tcp_server(&here(), "127.0.0.1:7003", tell_peer);
        udp_server(&here(), "127.0.0.1:7004");
        assert_eq!(hear(&sandbox.netns, &format!("{HOST_V4}:7003")).unwrap(), "127.0.0.1");
        let answer = ask_udp(&sandbox.netns, "0.0.0.0:0", &format!("{HOST_V4}:7004"), "q").unwrap();
        assert_eq!(answer, "127.0.0.1 q");
    });
}

#[test]
fn ends_and_resets_go_across() {
    testing::in_userns("tests::lead::ends_and_resets_go_across", || {
        let (host, sandbox) = host();
        let (tell, told) = channel();
        let server = tcp_server(&host.client, &at_port(CLIENT, 7000), move |mut stream, _| {
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            match &first {
                // Answers after the client has ended its side.
                b"e" => {
                    let mut got = Vec::new();
                    stream.read_to_end(&mut got).unwrap();
                    stream.write_all(&got).unwrap();
                }
                b"r" => {
                    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                }
                _ => tell.send(stream.read_to_end(&mut Vec::new()).map_err(|e| e.kind())).unwrap(),
            }
        })
        .to_string();
        for size in [0, 1, 70_000, 24 << 20] {
            let data: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
            let mut stream = connect(&sandbox.netns, &server).unwrap();
            stream.write_all(b"e").unwrap();
            stream.write_all(&data).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            assert!(back == data, "{size} bytes came back as {}", back.len());
        }
        let mut stream = connect(&sandbox.netns, &server).unwrap();
        stream.write_all(b"r").unwrap();
        let reset = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        let mut stream = connect(&sandbox.netns, &server).unwrap();
        stream.write_all(b"x").unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Err(ErrorKind::ConnectionReset));
    });
}

/// The first datagram of a flow crosses the tun, cut into fragments; the next goes from socket to socket.
#[test]
fn datagrams_beyond_the_mtu_pass() {
    testing::in_userns("tests::lead::datagrams_beyond_the_mtu_pass", || {
        let (host, sandbox) = host();
        for (any, client, _) in BOTH {
            let server = at(&host.client, || UdpSocket::bind(at_port(client, 7001)).unwrap());
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            let socket = at(&sandbox.netns, || UdpSocket::bind(any).unwrap());
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut buffer = vec![0; 65_536];
            for (size, fill) in [(20_000, 1), (60_000, 2), (1, 3)] {
                let datagram = vec![fill; size];
                socket.send_to(&datagram, at_port(client, 7001)).unwrap();
                let (length, peer) = server.recv_from(&mut buffer).unwrap();
                assert!(buffer[..length] == datagram, "{size} bytes arrived as {length}");
                server.send_to(&datagram, peer).unwrap();
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                assert!(buffer[..length] == datagram, "{size} bytes came back as {length}");
                assert_eq!(from, at_port(client, 7001).parse().unwrap());
            }
        }
    });
}

#[test]
fn a_socket_is_the_same_peer_to_everybody() {
    testing::in_userns("tests::lead::a_socket_is_the_same_peer_to_everybody", || {
        let (host, sandbox) = host();
        let servers = [7001, 7002, 7003].map(|port| {
            let server = at(&host.client, || UdpSocket::bind(at_port(CLIENT, port)).unwrap());
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            (port, server)
        });
        let socket = at(&sandbox.netns, || UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut seen = Vec::new();
        for (port, server) in &servers {
            socket.send_to(b"q", at_port(CLIENT, *port)).unwrap();
            seen.push(server.recv_from(&mut [0; 16]).unwrap().1);
        }
        assert!(seen.iter().all(|peer| *peer == seen[0]), "{seen:?}");
        // Each answer comes from whom it is from.
        for (port, server) in servers.iter().rev() {
            server.send_to(port.to_string().as_bytes(), seen[0]).unwrap();
            let mut buffer = [0; 16];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], from.port().to_string().as_bytes());
            assert_eq!(from.port(), *port);
        }
    });
}

#[test]
fn pings_are_answered_where_the_host_may_ping() {
    testing::in_userns("tests::lead::pings_are_answered_where_the_host_may_ping", || {
        let (_host, sandbox) = host();
        // A new network namespace lets nobody (icmp(7), ping_group_range: "1 0").
        let refused = ping(&sandbox, CLIENT).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::HostUnreachable);
        crate::netns::set("ipv4/ping_group_range", "0 0").unwrap();
        for (_, client, _) in BOTH {
            ping(&sandbox, client).unwrap();
        }
        assert_eq!(ping(&sandbox, "fd4c:6963:6865:6e00::2").unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}

/// Sends an echo request and waits for the reply to it.
fn ping(from: &Sandbox, to: &str) -> std::io::Result<()> {
    ping_with(from, to, 2)
}

/// With so many bytes of data.
pub(super) fn ping_with(from: &Sandbox, to: &str, size: usize) -> std::io::Result<()> {
    let to = SocketAddr::new(ip(to), 0);
    let socket = at(&from.netns, || ping_socket(to.is_ipv4()))?;
    rustix::io::ioctl_fionbio(&socket, false)?;
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
    rustix::net::connect(&socket, &to)?;
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut request = vec![kind, 0, 0, 0, 0, 0, 0, 7];
    request.extend((0..size).map(|i| (i % 251) as u8));
    rustix::net::send(&socket, &request, rustix::net::SendFlags::empty())?;
    let mut buffer = vec![0; 65_536];
    let (_, length) = rustix::net::recv(&socket, &mut buffer[..], rustix::net::RecvFlags::empty())?;
    assert_eq!(buffer[0], if to.is_ipv4() { 0 } else { 129 });
    assert_eq!(&buffer[6..length], &request[6..]);
    Ok(())
}

/// The router-side socket of a connection that its server ended is in TIME_WAIT; the next from the same port takes its
/// place at once.
#[test]
fn a_port_can_be_used_again_at_once() {
    testing::in_userns("tests::lead::a_port_can_be_used_again_at_once", || {
        let (host, sandbox) = host();
        let server: SocketAddr = tcp_server(&host.client, &at_port(CLIENT, 7000), tell_peer);
        for _ in 0..20 {
            let text = at(&sandbox.netns, || {
                let socket = rustix::net::socket(
                    rustix::net::AddressFamily::INET,
                    rustix::net::SocketType::STREAM,
                    None,
                )
                .unwrap();
                rustix::net::sockopt::set_socket_reuseaddr(&socket, true).unwrap();
                rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, 40_000))).unwrap();
                rustix::net::connect(&socket, &server).unwrap();
                let mut stream = TcpStream::from(socket);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                text
            });
            assert_eq!(text, HOST);
        }
    });
}

#[test]
fn a_container_reaches_another_by_the_hosts_published_port() {
    testing::in_userns("tests::lead::a_container_reaches_another_by_the_hosts_published_port", || {
        let (host, sandbox) = host();
        let ports = [port(Protocol::Tcp, 8080, 80), port(Protocol::Udp, 5353, 53)];
        let (_, server) = host.container(&["bridge"], &ports);
        tcp_server(&server.netns, "0.0.0.0:80", tell_peer);
        udp_server(&server.netns, "0.0.0.0:53");
        assert_eq!(hear(&sandbox.netns, &at_port(HOST, 8080)).unwrap(), HOST);
        assert_eq!(hear(&server.netns, &at_port(HOST, 8080)).unwrap(), HOST, "its own");
        let answer = ask_udp(&sandbox.netns, "0.0.0.0:0", &at_port(HOST, 5353), "q").unwrap();
        assert_eq!(answer, format!("{HOST} q"));
        assert_eq!(hear(&server.netns, "172.17.0.1:8080").unwrap(), "172.17.0.1", "by the gateway");
        tcp_server(&host.client, &at_port(CLIENT, 8080), tell_peer);
        assert_eq!(hear(&sandbox.netns, &at_port(CLIENT, 8080)).unwrap(), HOST, "the same port elsewhere");
        assert!(connect(&sandbox.netns, "172.17.0.2:80").is_err(), "not past the isolation of networks");
    });
}

#[test]
fn connections_of_a_killed_forwarder_are_reset_and_new_ones_work() {
    testing::in_userns("tests::lead::connections_of_a_killed_forwarder_are_reset_and_new_ones_work", || {
        let (host, sandbox) = host();
        let server = tcp_server(&host.client, &at_port(CLIENT, 7000), |mut stream, _| {
            stream.write_all(b"hello").unwrap();
            // Until the forwarder is gone.
            stream.read_to_end(&mut Vec::new()).ok();
        });
        let mut stream = connect(&sandbox.netns, &server.to_string()).unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        kill_forwarder(&host);
        let broken = stream.read(&mut hello);
        assert!(
            !matches!(&broken, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            "{broken:?}"
        );
        eventually(|| {
            let mut stream = connect(&sandbox.netns, &server.to_string()).map_err(|e| e.to_string())?;
            stream.read_exact(&mut hello).map_err(|e| e.to_string())
        });
    });
}

/// Answers each byte with itself.
pub(super) fn echo_server(namespace: &OwnedFd, at_address: &str) -> SocketAddr {
    tcp_server(namespace, at_address, |mut stream, _| {
        thread::spawn(move || {
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() {
                stream.write_all(&byte).unwrap();
            }
        });
    })
}

pub(super) fn connections(from: &OwnedFd, to: SocketAddr, count: usize) -> Vec<TcpStream> {
    attempts(from, to, count).into_iter().map(Result::unwrap).collect()
}

pub(super) fn attempts(from: &OwnedFd, to: SocketAddr, count: usize) -> Vec<io::Result<TcpStream>> {
    let one = |_| {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    at(from, || (0..count).map(one).collect())
}

pub(super) fn all_echo(streams: &[TcpStream]) {
    for (number, mut stream) in streams.iter().enumerate() {
        stream.write_all(&[number as u8]).unwrap();
    }
    for (number, mut stream) in streams.iter().enumerate() {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [number as u8]);
    }
}

#[test]
fn a_thousand_connections_at_once() {
    testing::in_userns("tests::lead::a_thousand_connections_at_once", || {
        let (host, sandbox) = host();
        let server = echo_server(&host.client, &at_port(CLIENT, 7000));
        all_echo(&connections(&sandbox.netns, server, 1000));
    });
}

/// With 1,200 descriptors the forwarder keeps 75 flows to itself and leaves the others to a worker.
#[test]
fn flows_beyond_the_descriptors_of_one_process_are_left_to_workers() {
    testing::in_userns(
        "tests::lead::flows_beyond_the_descriptors_of_one_process_are_left_to_workers",
        || {
            let limit = rustix::process::Rlimit { current: Some(1200), maximum: Some(1200) };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
            let host = Host::with(OutwardChoice::Lichen);
            let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
            let server = echo_server(&host.client, &at_port(CLIENT, 7000));
            let mut streams = connections(&sandbox.netns, server, 150);
            let inner = echo_server(&sandbox.netns, "0.0.0.0:80");
            let published = SocketAddr::new(ip(HOST), 8080);
            assert_eq!(inner.port(), 80);
            streams.extend(connections(&host.client, published, 100));
            all_echo(&streams);
            let workers = workers(&host);
            assert_eq!(workers.len(), 1);
            // They end with the process whose they are.
            kill_forwarder(&host);
            eventually(|| {
                let ended = workers.iter().all(|pid| !PathBuf::from(format!("/proc/{pid}/fd/0")).exists());
                ended.then_some(()).ok_or_else(|| format!("{workers:?} are still there"))
            });
        },
    );
}

/// The forwarder's children.
pub(super) fn workers(host: &Host) -> Vec<u32> {
    let pid = forwarder(host).process.pid;
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn what_ends_in_the_router_namespace_is_not_paced() {
    testing::in_userns("tests::lead::what_ends_in_the_router_namespace_is_not_paced", || {
        let (host, sandbox) = host();
        for namespace in [&host.router, &sandbox.netns] {
            // Says something where the host has chosen BBR; elsewhere that nothing was broken.
            let chosen =
                at(namespace, || std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control"));
            assert!(["cubic\n", "reno\n"].contains(&chosen.unwrap().as_str()));
        }
    });
}
