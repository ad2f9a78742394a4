//! Containers that look each other, and the world, up by name.

use super::*;
use std::collections::BTreeMap;

pub(super) const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

/// What the resolver of a container answers: the response code and the data of each record.
pub(super) fn look_up(sandbox: &Sandbox, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let socket = at(&sandbox.netns, || UdpSocket::bind("127.0.0.1:0").unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = question(name, kind);
    socket.send_to(&query, "127.0.0.11:53").unwrap();
    let mut reply = [0; 512];
    let (length, _) = socket.recv_from(&mut reply).unwrap();
    read_reply(&query, &reply[..length])
}

/// As [`look_up`], over TCP, on a connection that is open.
fn look_up_on(stream: &mut TcpStream, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let query = question(name, kind);
    let length = (query.len() as u16).to_be_bytes();
    stream.write_all(&[&length[..], &query].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    read_reply(&query, &reply)
}

pub(super) fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, (kind >> 8) as u8, kind as u8, 0, 1]);
    query
}

fn read_reply(query: &[u8], reply: &[u8]) -> (u8, Vec<Vec<u8>>) {
    assert_eq!(reply[..2], [0x12, 0x34]);
    let mut records = Vec::new();
    let mut rest = &reply[query.len()..];
    for _ in 0..reply[7] {
        let size = usize::from(u16::from_be_bytes([rest[10], rest[11]]));
        records.push(rest[12..12 + size].to_vec());
        rest = &rest[12 + size..];
    }
    (reply[3] & 15, records)
}

fn named(
    host: &Host,
    name: &str,
    networks: &[&str],
    change: impl FnOnce(&mut SandboxRequest),
) -> (Id, Sandbox) {
    let mut wanted = request(networks, &[]);
    wanted.container_name = name.into();
    change(&mut wanted);
    (wanted.container.clone(), host.networks.start(wanted).unwrap())
}

#[test]
fn containers_find_each_other_by_name_alias_and_short_id() {
    testing::in_userns("tests::naming::containers_find_each_other_by_name_alias_and_short_id", || {
        let host = Host::new();
        host.networks.create(user_network("front", |n| n.enable_ipv6 = Some(true))).unwrap();
        host.networks.create(user_network("back", |_| {})).unwrap();
        let (id, web) = named(&host, "Web", &["front"], |r| {
            r.endpoints[0].aliases = vec!["www".into()];
            r.hostname = "box".into();
        });
        let (asker_id, asker) =
            named(&host, "asker", &["front"], |r| r.endpoints[0].links = vec!["web:db".into()]);
        let (_, stranger) = named(&host, "stranger", &["back"], |_| {});
        let v4 = web.endpoints[0].ipv4.unwrap().addr().octets().to_vec();
        let v6 = web.endpoints[0].ipv6.unwrap().addr().octets().to_vec();
        for name in ["web", "WWW", "web.front", id.short(), "box", "db"] {
            assert_eq!(look_up(&asker, name, A), (0, vec![v4.clone()]), "{name}");
            assert_eq!(look_up(&asker, name, AAAA), (0, vec![v6.clone()]), "{name}");
        }
        assert_eq!(look_up(&web, "box", A), (0, vec![v4.clone()]), "its own name");
        let reverse = format!("{}.{}.{}.{}.in-addr.arpa", v4[3], v4[2], v4[1], v4[0]);
        assert_eq!(look_up(&asker, &reverse, PTR), (0, vec![b"\x03web\x05front\0".to_vec()]));
        assert_eq!(look_up(&stranger, "web", A).1, Vec::<Vec<u8>>::new());
        host.networks.rename(&id, "site").unwrap();
        for name in ["site", "box"] {
            assert_eq!(look_up(&asker, name, A), (0, vec![v4.clone()]), "{name}");
        }
        assert_eq!(look_up(&asker, "web", A).1.len(), 0);
        host.networks
            .connect(&asker_id, EndpointRequest { network: "back".into(), ..Default::default() })
            .unwrap();
        assert_eq!(look_up(&asker, "stranger", A).1.len(), 1);
        host.networks.stop(&id).unwrap();
        assert_eq!(look_up(&asker, "site", A).1.len(), 0);
    });
}

#[test]
fn other_names_are_asked_upstream_and_internal_networks_ask_nobody() {
    testing::in_userns(
        "tests::naming::other_names_are_asked_upstream_and_internal_networks_ask_nobody",
        || {
            let host = Host::new();
            host.networks.create(user_network("n", |_| {})).unwrap();
            host.networks.create(user_network("inside", |n| n.internal = true)).unwrap();
            // An upstream server that is itself a container, as `--dns` may name one: it echoes, with QR set and code 3.
            let (_, upstream) = named(&host, "ns", &["n"], |_| {});
            let server = upstream.endpoints[0].ipv4.unwrap().addr();
            let socket = at(&upstream.netns, || UdpSocket::bind((server, 53)).unwrap());
            thread::spawn(move || {
                let mut buffer = [0; 512];
                while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                    buffer[2] |= 0x80;
                    buffer[3] = 3;
                    socket.send_to(&buffer[..length], peer).unwrap();
                }
            });
            // The first server does not answer.
            let servers = vec!["172.18.0.200".parse().unwrap(), server.into()];
            let (_, asker) = named(&host, "asker", &["n"], |r| r.dns_servers = servers.clone());
            assert_eq!(look_up(&asker, "example.org", A).0, 3);
            let (_, inside) = named(&host, "inside", &["inside"], |r| r.dns_servers = servers);
            assert_eq!(look_up(&inside, "example.org", A).0, 2, "SERVFAIL: nobody to ask");
            // A server of its own on port 53 of every address, as dnsmasq's or CoreDNS', is no obstacle.
            let _own = at(&asker.netns, || UdpSocket::bind("0.0.0.0:53").unwrap());
            let _own_tcp = at(&asker.netns, || TcpListener::bind("0.0.0.0:53").unwrap());
            assert_eq!(look_up(&asker, "ns", A).1.len(), 1);
            assert_eq!(look_up(&asker, "example.org", A).0, 3);
            let text = host.networks.resolv_conf(&asker.endpoints, &Default::default());
            assert!(text.contains("nameserver 127.0.0.11\n") && text.contains("ndots:0"), "{text}");
        },
    );
}

/// A DNS server, by UDP and TCP, that answers everything with this code and no records.
fn dns_server(namespace: &OwnedFd, address: &str, code: u8) {
    let reply = move |query: &[u8]| {
        let mut reply = query.to_vec();
        reply[2] |= 0x80;
        reply[3] = code;
        reply
    };
    let (udp, tcp) =
        at(namespace, || (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap()));
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
            udp.send_to(&reply(&buffer[..length]), peer).unwrap();
        }
    });
    thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0; 2];
            // A resolver may think better of it.
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            stream.write_all(&[&length[..], &reply(&query)].concat()).unwrap();
        }
    });
}

#[test]
fn queries_by_tcp_are_answered_like_others() {
    testing::in_userns("tests::naming::queries_by_tcp_are_answered_like_others", || {
        let host = Host::new();
        host.networks.create(user_network("n", |_| {})).unwrap();
        let (_, refusing) = named(&host, "refusing", &["n"], |_| {});
        let (_, upstream) = named(&host, "ns", &["n"], |_| {});
        let addresses = [&refusing, &upstream].map(|s| s.endpoints[0].ipv4.unwrap().addr());
        dns_server(&refusing.netns, &format!("{}:53", addresses[0]), 5);
        dns_server(&upstream.netns, &format!("{}:53", addresses[1]), 3);
        let servers = addresses.map(IpAddr::V4).to_vec();
        let (asker_id, asker) = named(&host, "asker", &["n"], |r| r.dns_servers = servers.clone());
        // The first server refuses, so the second one is asked.
        assert_eq!(look_up(&asker, "example.org", A).0, 3);
        let mut stream = connect(&asker.netns, "127.0.0.11:53").unwrap();
        for _ in 0..2 {
            assert_eq!(look_up_on(&mut stream, "ns", A).1, [addresses[1].octets().to_vec()]);
            assert_eq!(look_up_on(&mut stream, "example.org", A).0, 3);
        }
        // A client that has said all it has to say still gets its answer.
        let query = question("example.org", A);
        let mut last = connect(&asker.netns, "127.0.0.11:53").unwrap();
        last.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat()).unwrap();
        last.shutdown(std::net::Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        last.read_to_end(&mut reply).unwrap();
        assert_eq!(reply[2 + 3] & 15, 3);
        // What is no query ends its connection and nothing else.
        let mut hostile = connect(&asker.netns, "127.0.0.11:53").unwrap();
        hostile.write_all(&[0, 3, 1, 2, 3]).unwrap();
        assert!(matches!(hostile.read(&mut [0; 1]), Ok(0) | Err(_)));
        assert_eq!(look_up(&asker, "ns", A).1.len(), 1);
        host.networks.stop(&asker_id).unwrap();
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)), "its resolver is gone");
    });
}

#[test]
fn the_hosts_servers_are_those_it_has_now() {
    testing::in_userns("tests::naming::the_hosts_servers_are_those_it_has_now", || {
        let resolv_conf = |text: &str| std::fs::write("resolv.conf", text).unwrap();
        resolv_conf("nameserver 127.0.0.53\n");
        let (file, etc) = ("resolv.conf", "/etc/resolv.conf");
        rustix::mount::mount_bind(file, etc).unwrap();
        let host = Host::new();
        dns_server(&here(), "127.0.0.53:53", 3);
        dns_server(&here(), "198.51.100.1:53", 4);
        host.networks.create(user_network("n", |_| {})).unwrap();
        let (_, asker) = named(&host, "asker", &["n"], |_| {});
        assert_eq!(look_up(&asker, "example.org", A).0, 3, "the host's own loopback is asked from the host");
        resolv_conf("# another network\nnameserver 198.51.100.1\n");
        eventually(|| match look_up(&asker, "example.org", A).0 {
            4 => Ok(()),
            other => Err(format!("{other}")),
        });
    });
}

#[test]
fn a_name_without_a_dot_stays_at_home_when_ndots_was_chosen() {
    testing::in_userns("tests::naming::a_name_without_a_dot_stays_at_home_when_ndots_was_chosen", || {
        let host = Host::new();
        host.networks.create(user_network("n", |_| {})).unwrap();
        let (_, upstream) = named(&host, "ns", &["n"], |_| {});
        let server = upstream.endpoints[0].ipv4.unwrap().addr();
        dns_server(&upstream.netns, &format!("{server}:53"), 3);
        let asking = |chosen| {
            move |r: &mut SandboxRequest| {
                r.dns_servers = vec![server.into()];
                r.ndots_chosen = chosen;
            }
        };
        let (_, plain) = named(&host, "plain", &["n"], asking(false));
        let (_, chosen) = named(&host, "chosen", &["n"], asking(true));
        assert_eq!(look_up(&plain, "nobody", A).0, 3, "asked upstream");
        assert_eq!(look_up(&chosen, "nobody", A).0, 0, "empty, so that the search list is tried");
        assert_eq!(look_up(&chosen, "nobody.example", A).0, 3);
        const MX: u16 = 15;
        assert_eq!(look_up(&plain, "chosen", MX), (0, vec![]), "mail goes to the address itself");
    });
}

#[test]
fn names_outlast_the_forwarder() {
    testing::in_userns("tests::naming::names_outlast_the_forwarder", || {
        let host = Host::new();
        host.networks.create(user_network("n", |_| {})).unwrap();
        let sandboxes: BTreeMap<&str, Sandbox> =
            ["a", "b"].map(|name| (name, named(&host, name, &["n"], |_| {}).1)).into();
        kill_forwarder(&host);
        eventually(|| {
            let answered = std::panic::catch_unwind(|| look_up(&sandboxes["a"], "b", A).1.len());
            if answered.is_ok_and(|count| count == 1) { Ok(()) } else { Err("no answer".into()) }
        });
    });
}
