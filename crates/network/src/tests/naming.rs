//! Containers that look each other, and the world, up by name.

use super::*;
use std::collections::BTreeMap;

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

/// What the resolver of a container answers: the response code and the data of each record.
fn look_up(sandbox: &Sandbox, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let socket = at(&sandbox.netns, || UdpSocket::bind("127.0.0.1:0").unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, (kind >> 8) as u8, kind as u8, 0, 1]);
    socket.send_to(&query, "127.0.0.11:53").unwrap();
    let mut reply = [0; 512];
    let (length, _) = socket.recv_from(&mut reply).unwrap();
    let reply = &reply[..length];
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
        let (id, web) = named(&host, "Web", &["front"], |r| r.endpoints[0].aliases = vec!["www".into()]);
        let (asker_id, asker) =
            named(&host, "asker", &["front"], |r| r.endpoints[0].links = vec!["web:db".into()]);
        let (_, stranger) = named(&host, "stranger", &["back"], |_| {});
        let v4 = web.endpoints[0].ipv4.unwrap().addr().octets().to_vec();
        let v6 = web.endpoints[0].ipv6.unwrap().addr().octets().to_vec();
        for name in ["web", "WWW", "web.front", id.short(), "db"] {
            assert_eq!(look_up(&asker, name, A), (0, vec![v4.clone()]), "{name}");
            assert_eq!(look_up(&asker, name, AAAA), (0, vec![v6.clone()]), "{name}");
        }
        let reverse = format!("{}.{}.{}.{}.in-addr.arpa", v4[3], v4[2], v4[1], v4[0]);
        assert_eq!(look_up(&asker, &reverse, PTR), (0, vec![b"\x03web\x05front\0".to_vec()]));
        assert_eq!(look_up(&stranger, "web", A).1, Vec::<Vec<u8>>::new());
        host.networks.rename(&id, "site").unwrap();
        assert_eq!(look_up(&asker, "site", A), (0, vec![v4.clone()]));
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
            // Big answers are fetched by TCP, straight from the first server.
            let refused = connect(&asker.netns, "127.0.0.11:53").and_then(|mut s| s.read(&mut [0; 2]));
            assert!(refused.is_err(), "nothing is at the first server's address");
            let text = host.networks.resolv_conf(&asker.endpoints, &Default::default());
            assert!(text.contains("nameserver 127.0.0.11\n") && text.contains("ndots:0"), "{text}");
        },
    );
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
