//! Datagrams and echo requests that need more than being carried, what the forwarder tells of its flows, and many ports.

use super::{
    lead::{at_port, ping_with},
    *,
};
use crate::flows::{self, Direction, Flow, FlowProtocol, State};
use std::io::ErrorKind;

#[test]
fn pings_larger_than_the_mtu_are_answered() {
    testing::in_userns("tests::datagrams::pings_larger_than_the_mtu_are_answered", || {
        let host = Host::with(OutwardChoice::Lichen);
        host.networks.create(user_network("dual", |n| n.enable_ipv6 = Some(true))).unwrap();
        let (_, sandbox) = host.container(&["dual"], &[]);
        crate::netns::set("ipv4/ping_group_range", "0 0").unwrap();
        for client in [CLIENT, CLIENT6] {
            for size in [1400, 3000, 20_000] {
                ping_with(&sandbox, client, size).unwrap_or_else(|e| panic!("{size} bytes to {client}: {e}"));
            }
        }
    });
}

/// What a host says of a port of its own that nobody has.
#[test]
fn a_peer_is_told_that_the_containers_socket_is_gone() {
    testing::in_userns("tests::datagrams::a_peer_is_told_that_the_containers_socket_is_gone", || {
        let host = Host::with(OutwardChoice::Lichen);
        let (_, sandbox) = host.container(&["bridge"], &[]);
        let server = at(&host.client, || UdpSocket::bind(at_port(CLIENT, 7001)).unwrap());
        server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let socket = at(&sandbox.netns, || UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.send_to(b"q", at_port(CLIENT, 7001)).unwrap();
        let peer =
            eventually(|| server.recv_from(&mut [0; 8]).map(|(_, peer)| peer).map_err(|e| e.to_string()));
        server.connect(peer).unwrap();
        server.send(b"a").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
        drop(socket);
        eventually(|| {
            let told = server.send(b"more").and_then(|_| server.recv(&mut [0; 8]));
            let refused = matches!(&told, Err(e) if e.kind() == ErrorKind::ConnectionRefused);
            refused.then_some(()).ok_or_else(|| format!("{told:?}"))
        });
    });
}

#[test]
fn the_forwarder_tells_what_passes() {
    testing::in_userns("tests::datagrams::the_forwarder_tells_what_passes", || {
        let host = Host::with(OutwardChoice::Lichen);
        let ports = [port(Protocol::Tcp, 8080, 80), port(Protocol::Udp, 5353, 53)];
        let (_, sandbox) = host.container(&["bridge"], &ports);
        let echo = |mut stream: TcpStream, _| {
            let mut bytes = [0; 3];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(b"longer").unwrap();
            stream.read_to_end(&mut Vec::new()).ok();
        };
        tcp_server(&host.client, &at_port(CLIENT, 7000), echo);
        tcp_server(&sandbox.netns, "0.0.0.0:80", echo);
        udp_server(&sandbox.netns, "0.0.0.0:53");
        let open = |from: &OwnedFd, to: &str| {
            let mut stream = connect(from, to).unwrap();
            stream.write_all(b"abc").unwrap();
            stream.read_exact(&mut [0; 6]).unwrap();
            stream
        };
        let _out = open(&sandbox.netns, &at_port(CLIENT, 7000));
        let _in = open(&host.client, &at_port(HOST, 8080));
        ask_udp(&host.client, "0.0.0.0:0", &at_port(HOST, 5353), "q").unwrap();
        let flows::Listed { flows: all, left_off, troubles } = flows::list(&host.run).unwrap();
        assert_eq!((left_off, troubles), (0, Vec::new()));
        let one = |protocol, direction| -> &Flow {
            let mut of = all.iter().filter(|f| (f.protocol, f.direction) == (protocol, direction));
            let found = of.next().unwrap_or_else(|| panic!("no {protocol:?} {direction:?} in {all:?}"));
            assert!(of.next().is_none(), "{all:?}");
            found
        };
        let out = one(FlowProtocol::Tcp, Direction::Out);
        assert_eq!((out.destination.to_string(), out.state), (at_port(CLIENT, 7000), State::Open));
        assert_eq!((out.container, out.bytes_out, out.bytes_in), (Some(out.client), 3, 6));
        let inward = one(FlowProtocol::Tcp, Direction::In);
        assert_eq!(inward.client.ip(), ip(CLIENT));
        assert_eq!(inward.destination.to_string(), at_port(HOST, 8080));
        assert_eq!(inward.container.map(|c| c.port()), Some(80));
        assert_eq!((inward.bytes_in, inward.bytes_out), (3, 6));
        let datagrams = one(FlowProtocol::Udp, Direction::In);
        assert_eq!((datagrams.client.ip(), datagrams.state), (ip(CLIENT), State::Answered));
        assert_eq!((datagrams.destination.to_string(), datagrams.bytes_in), (at_port(HOST, 5353), 1));
    });
}

/// How many sockets listen in the network namespace of a process or thread, by IP version.
fn listeners(task: &str) -> [usize; 2] {
    ["tcp", "tcp6"].map(|table| {
        let table = std::fs::read_to_string(format!("/proc/{task}/net/{table}")).unwrap();
        // TCP_LISTEN (include/net/tcp_states.h).
        table.lines().filter(|line| line.split_whitespace().nth(3) == Some("0A")).count()
    })
}

/// Each is a listener of either IP version on the host, and one of both in the router namespace: with a limit below 12,000
/// descriptors there are as many as it allows.
#[test]
fn thousands_of_ports_cost_descriptors_and_nothing_else() {
    testing::in_userns("tests::datagrams::thousands_of_ports_cost_descriptors_and_nothing_else", || {
        use rustix::process::{Resource, getrlimit};
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let last = 20_000 + (most / 6).min(2000) as u16;
        let host = Host::new();
        let pid = forwarder(&host).process.pid;
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
        let (threads, before) = (count("task"), count("fd"));
        let on_host = || listeners(&pid.to_string());
        let in_router = || at(&host.router, || listeners("thread-self"));
        assert_eq!((on_host(), in_router()), ([0, 0], [0, 0]));
        let ports: Vec<PortRequest> =
            (20_000..last).map(|number| port(Protocol::Tcp, number, number)).collect();
        let wanted = request(&["bridge"], &ports);
        let id = wanted.container.clone();
        let sandbox = host.networks.start(wanted).unwrap();
        assert_eq!(sandbox.ports.len(), 2 * ports.len(), "IPv4 and IPv6");
        assert_eq!(count("task"), threads);
        assert_eq!((on_host(), in_router()), ([ports.len(); 2], [0, ports.len()]));
        // Sockets that are kept ready go when they have not been needed for a while.
        let at_most = |most: usize| {
            eventually_within(PATIENCE * 6, || {
                let now = count("fd");
                (now <= most).then_some(()).ok_or_else(|| format!("{now} descriptors, {before} before"))
            });
        };
        at_most(before + 3 * ports.len() + 40);
        let middle = 20_000 + (last - 20_000) / 2;
        for number in [20_000, middle, last - 1] {
            tcp_server(&sandbox.netns, &format!("0.0.0.0:{number}"), tell_peer);
            assert_eq!(hear(&host.client, &at_port(HOST, number)).unwrap(), CLIENT);
        }
        host.networks.stop(&id).unwrap();
        assert!(connect(&host.client, &at_port(HOST, middle)).is_err());
        at_most(before + 40);
    });
}
