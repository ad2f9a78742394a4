//! Published ports, seen from the host, from its network, and from the container.

use super::*;
use std::{io::ErrorKind, net::Shutdown, sync::mpsc::channel};

#[test]
fn the_container_sees_the_clients_address() {
    testing::in_userns("tests::ports::the_container_sees_the_clients_address", || {
        let host = Host::new();
        host.networks.create(user_network("dual", |n| n.enable_ipv6 = Some(true))).unwrap();
        let ports = [port(Protocol::Tcp, 8080, 80), port(Protocol::Udp, 5353, 53)];
        let (_, sandbox) = host.container(&["dual"], &ports);
        assert_eq!(sandbox.ports.len(), 4, "IPv4 and IPv6 of each: {:?}", sandbox.ports);
        tcp_server(&sandbox.netns, "[::]:80", tell_peer);
        udp_server(&sandbox.netns, "[::]:53");
        assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
        assert_eq!(hear(&host.client, "[2001:db8::1]:8080").unwrap(), CLIENT6);
        let udp = ask_udp(&host.client, "0.0.0.0:0", "198.51.100.1:5353", "q").unwrap();
        assert_eq!(udp, format!("{CLIENT} q"));
        let udp = ask_udp(&host.client, "[::]:0", "[2001:db8::1]:5353", "q").unwrap();
        assert_eq!(udp, format!("{CLIENT6} q"));
    });
}

#[test]
fn a_loopback_client_is_the_gateway_and_never_127_0_0_1() {
    testing::in_userns("tests::ports::a_loopback_client_is_the_gateway_and_never_127_0_0_1", || {
        let host = Host::new();
        let ports = [port(Protocol::Tcp, 8080, 80), port(Protocol::Udp, 5353, 53)];
        let (_, sandbox) = host.container(&["bridge"], &ports);
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        udp_server(&sandbox.netns, "0.0.0.0:53");
        let here = here();
        assert_eq!(hear(&here, "127.0.0.1:8080").unwrap(), "172.17.0.1");
        assert_eq!(hear(&here, "[::1]:8080").unwrap(), "172.17.0.1");
        assert_eq!(hear(&here, "198.51.100.1:8080").unwrap(), HOST);
        assert_eq!(ask_udp(&here, "127.0.0.1:0", "127.0.0.1:5353", "q").unwrap(), "172.17.0.1 q");
        // An IPv6 client of a container without IPv6.
        assert_eq!(hear(&host.client, "[2001:db8::1]:8080").unwrap(), "172.17.0.1");
    });
}

#[test]
fn data_arrives_whole_in_both_directions_and_each_ends_for_itself() {
    testing::in_userns(
        "tests::ports::data_arrives_whole_in_both_directions_and_each_ends_for_itself",
        || {
            let host = Host::new();
            let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
            // Answers only after the client has ended its side, with more than it got.
            tcp_server(&sandbox.netns, "0.0.0.0:80", |mut stream, _| {
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                stream.write_all(&got).unwrap();
                stream.write_all(b"end").unwrap();
            });
            for size in [0, 1, 70_000, 24 << 20] {
                let data: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
                let mut stream = connect(&host.client, "198.51.100.1:8080").unwrap();
                let mut writer = stream.try_clone().unwrap();
                let sent = data.clone();
                let writing = thread::spawn(move || {
                    writer.write_all(&sent).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                writing.join().unwrap();
                assert_eq!(back.len(), size + 3);
                assert!(back[..size] == data && back.ends_with(b"end"));
            }
        },
    );
}

#[test]
fn refusals_and_resets_are_carried_across() {
    testing::in_userns("tests::ports::refusals_and_resets_are_carried_across", || {
        let host = Host::new();
        let ports = [port(Protocol::Tcp, 8080, 80), port(Protocol::Tcp, 8081, 81)];
        let (_, sandbox) = host.container(&["bridge"], &ports);
        let (tell, told) = channel();
        tcp_server(&sandbox.netns, "0.0.0.0:81", move |mut stream, _| {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            if byte == *b"r" {
                // Closing with data unread resets (RFC 9293, 3.6.1).
                thread::sleep(Duration::from_millis(50));
                return;
            }
            tell.send(stream.read_to_end(&mut Vec::new()).map_err(|e| e.kind())).unwrap();
        });
        // Nothing listens on 80.
        let refused = hear(&host.client, "198.51.100.1:8080").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
        let mut stream = connect(&host.client, "198.51.100.1:8081").unwrap();
        stream.write_all(b"r and more").unwrap();
        let reset = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        let mut stream = connect(&host.client, "198.51.100.1:8081").unwrap();
        stream.write_all(b"x").unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Err(ErrorKind::ConnectionReset));
    });
}

#[test]
fn a_slow_reader_stops_the_writer() {
    testing::in_userns("tests::ports::a_slow_reader_stops_the_writer", || {
        let host = Host::new();
        let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        tcp_server(&sandbox.netns, "0.0.0.0:80", |_stream, _| thread::sleep(PATIENCE));
        let mut stream = connect(&host.client, "198.51.100.1:8080").unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let chunk = vec![0; 1 << 20];
        let mut sent = 0;
        let stopped = loop {
            match stream.write(&chunk) {
                Ok(n) => sent += n,
                Err(error) => break error,
            }
            assert!(sent < 256 << 20, "the forwarder takes whatever comes");
        };
        assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn many_connections_at_once() {
    testing::in_userns("tests::ports::many_connections_at_once", || {
        let host = Host::new();
        let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        tcp_server(&sandbox.netns, "0.0.0.0:80", |mut stream, _| {
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() {
                    stream.write_all(&byte).unwrap();
                }
            });
        });
        let mut streams: Vec<TcpStream> =
            (0..500).map(|_| connect(&host.client, "198.51.100.1:8080").unwrap()).collect();
        for round in 0..3u8 {
            streams.iter_mut().for_each(|s| s.write_all(&[round]).unwrap());
            for stream in &mut streams {
                let mut byte = [9];
                stream.read_exact(&mut byte).unwrap();
                assert_eq!(byte, [round]);
            }
        }
    });
}

#[test]
fn conflicts_read_as_dockers_and_leave_nothing() {
    testing::in_userns("tests::ports::conflicts_read_as_dockers_and_leave_nothing", || {
        let host = Host::new();
        let (first, _one) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        let wanted = request(&["bridge"], &[port(Protocol::Tcp, 9090, 90), port(Protocol::Tcp, 8080, 80)]);
        let text = host.networks.start(wanted).unwrap_err().to_string();
        assert!(text.starts_with("driver failed programming external connectivity on endpoint c-"), "{text}");
        assert!(text.ends_with("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{text}");
        // Rolled back: 9090 is free, and so is the second address.
        let _taken = TcpListener::bind("0.0.0.0:9090").unwrap();
        let text = host
            .networks
            .start(request(&["bridge"], &[port(Protocol::Tcp, 9090, 90)]))
            .unwrap_err()
            .to_string();
        assert!(
            text.ends_with(
                "failed to bind port 0.0.0.0:9090/tcp: listen tcp4 0.0.0.0:9090: bind: address already in use"
            ),
            "{text}"
        );
        host.networks.reaper.finish();
        let (_, third) = host.container(&["bridge"], &[]);
        assert_eq!(third.endpoints[0].ipv4.unwrap().to_string(), "172.17.0.3/16");
        host.networks.stop(&first).unwrap();
        host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
    });
}

#[test]
fn privileged_ports_name_the_three_ways_out() {
    testing::in_userns("tests::ports::privileged_ports_name_the_three_ways_out", || {
        host_network();
        std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024").unwrap();
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let run = short_directory();
        let mut config = config(&RunLayout::new(run.path()), &router, OutwardChoice::None);
        // On a real host the forwarder has no privilege over the host's network namespace, as root here has.
        let netd = std::mem::replace(&mut config.netd.path, "setpriv".into());
        config.netd.args = vec![
            "--bounding-set=-net_bind_service".into(),
            "--inh-caps=-net_bind_service".into(),
            netd.into(),
        ];
        let networks = Networks::open(config, &Store::in_memory().unwrap()).unwrap();
        let wanted = request(&["bridge"], &[port(Protocol::Tcp, 80, 80)]);
        let text = networks.start(wanted).unwrap_err().to_string();
        let expected = "cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to \
                        /etc/sysctl.conf (currently 1024), or set CAP_NET_BIND_SERVICE on the lichen binary, or choose a \
                        larger port number (>= 1024): listen tcp4 0.0.0.0:80: bind: permission denied";
        assert!(text.ends_with(expected), "{text}");
        networks.shutdown().unwrap();
    });
}

#[test]
fn ranges_and_ephemeral_ports_find_what_is_free() {
    testing::in_userns("tests::ports::ranges_and_ephemeral_ports_find_what_is_free", || {
        let host = Host::new();
        let range = PortRequest {
            host_ports: HostPorts::Range { first: 8000, last: 8002 },
            ..port(Protocol::Tcp, 0, 80)
        };
        let _other = TcpListener::bind("0.0.0.0:8000").unwrap();
        let published =
            |request: &PortRequest| host.container(&["bridge"], std::slice::from_ref(request)).1.ports;
        assert_eq!(published(&range)[0].host_port, 8001);
        assert_eq!(published(&range)[0].host_port, 8002);
        let text = host.networks.start(super::request(&["bridge"], &[range])).unwrap_err().to_string();
        assert!(text.ends_with("all ports from 8000 to 8002 are already allocated"), "{text}");
        let any = PortRequest { host_ports: HostPorts::Ephemeral, ..port(Protocol::Udp, 0, 80) };
        let (one, two) = (published(&any), published(&any));
        assert_eq!(one.len(), 2);
        assert_eq!(one[0].host_port, one[1].host_port, "IPv4 and IPv6 get the same port");
        assert_ne!(one[0].host_port, two[0].host_port);
        let local = PortRequest { host_ip: Some(ip("127.0.0.1")), ..port(Protocol::Tcp, 8500, 80) };
        assert_eq!(published(&local).len(), 1);
        assert_eq!(
            connect(&host.client, "198.51.100.1:8500").unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    });
}

#[test]
fn without_nf_tables_ports_work_and_clients_are_the_gateway() {
    testing::in_userns("tests::ports::without_nf_tables_ports_work_and_clients_are_the_gateway", || {
        let client = host_network();
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let run = short_directory();
        let config = config(&RunLayout::new(run.path()), &router, OutwardChoice::None);
        let networks = Networks::open_on(config, &Store::in_memory().unwrap(), None).unwrap();
        networks.create(user_network("n", |_| {})).unwrap();
        let ports = [port(Protocol::Tcp, 8080, 80), port(Protocol::Udp, 5353, 53)];
        let sandbox = networks.start(request(&["n"], &ports)).unwrap();
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        udp_server(&sandbox.netns, "0.0.0.0:53");
        assert_eq!(hear(&client, "198.51.100.1:8080").unwrap(), "172.18.0.1");
        assert_eq!(ask_udp(&client, "0.0.0.0:0", "198.51.100.1:5353", "q").unwrap(), "172.18.0.1 q");
        assert!(networks.outward().warnings[0].contains("as the gateway"));
        let text = networks.resolv_conf(&sandbox.endpoints, &Default::default());
        assert!(!text.contains("127.0.0.11"), "{text}");
        networks.shutdown().unwrap();
    });
}

#[test]
fn a_passed_socket_is_published() {
    testing::in_userns("tests::ports::a_passed_socket_is_published", || {
        let client = host_network();
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let run = short_directory();
        let layout = RunLayout::new(run.path());
        let activated = TcpListener::bind("0.0.0.0:443").unwrap();
        let mut config = config(&layout, &router, OutwardChoice::None);
        config.inherited = vec![activated.into()];
        let networks = Networks::open(config, &Store::in_memory().unwrap()).unwrap();
        let wanted = PortRequest { host_ip: Some(ip("0.0.0.0")), ..port(Protocol::Tcp, 443, 443) };
        let sandbox = networks.start(request(&["bridge"], &[wanted])).unwrap();
        tcp_server(&sandbox.netns, "0.0.0.0:443", tell_peer);
        assert_eq!(hear(&client, "198.51.100.1:443").unwrap(), CLIENT);
        networks.shutdown().unwrap();
    });
}

#[test]
fn both_gateways_lead_to_a_port_until_it_is_gone() {
    testing::in_userns("tests::ports::both_gateways_lead_to_a_port_until_it_is_gone", || {
        let host = Host::new();
        host.networks.create(user_network("dual", |n| n.enable_ipv6 = Some(true))).unwrap();
        let on = |address: &str| PortRequest { host_ip: Some(ip(address)), ..port(Protocol::Tcp, 8080, 80) };
        let served = |address: &str| {
            let (id, sandbox) = host.container(&["dual"], &[on(address)]);
            tcp_server(&sandbox.netns, "[::]:80", tell_peer);
            (id, sandbox)
        };
        let ((four, _first), (six, _second)) = (served("0.0.0.0"), served("::"));
        let (_, asker) = host.container(&["dual"], &[]);
        let own = &asker.endpoints[0];
        let gateways = [IpAddr::from(own.gateway_v4.unwrap()), IpAddr::from(own.gateway_v6.unwrap())];
        let ask = |gateway: IpAddr| hear(&asker.netns, &SocketAddr::new(gateway, 8080).to_string());
        for gateway in gateways {
            assert_eq!(ask(gateway).unwrap(), gateway.to_string(), "of the same subnet");
        }
        // The listener of both goes with the first of them.
        host.networks.stop(&four).unwrap();
        assert_eq!(ask(gateways[1]).unwrap(), gateways[1].to_string());
        let refused =
            |gateway| assert_eq!(ask(gateway).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        refused(gateways[0]);
        host.networks.stop(&six).unwrap();
        refused(gateways[1]);
    });
}

#[test]
fn a_port_keeps_its_gateway_where_the_other_ip_versions_cannot_have_its_own() {
    const NAME: &str =
        "tests::ports::a_port_keeps_its_gateway_where_the_other_ip_versions_cannot_have_its_own";
    testing::in_userns(NAME, || {
        let host = Host::new();
        let on = |address: &str| PortRequest { host_ip: Some(ip(address)), ..port(Protocol::Tcp, 8080, 80) };
        let (_, served) = host.container(&["bridge"], &[on("0.0.0.0")]);
        tcp_server(&served.netns, "0.0.0.0:80", tell_peer);
        let (_, asker) = host.container(&["bridge"], &[]);
        assert_eq!(hear(&asker.netns, "172.17.0.1:8080").unwrap(), "172.17.0.1");
        // In the way of a listener of both.
        let _other = at(&host.router, || TcpListener::bind("[::1]:8080").unwrap());
        let (_, second) = host.container(&["bridge"], &[on("::")]);
        tcp_server(&second.netns, "0.0.0.0:80", tell_peer);
        assert_eq!(hear(&host.client, "[2001:db8::1]:8080").unwrap(), "172.17.0.1");
        assert_eq!(hear(&asker.netns, "172.17.0.1:8080").unwrap(), "172.17.0.1");
    });
}
