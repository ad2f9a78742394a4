//! macvlan and ipvlan.

use super::*;
use std::io::ErrorKind;

fn lan(
    host: &Host,
    name: &str,
    options: &[(&str, &str)],
    change: impl FnOnce(&mut NewNetwork),
) -> Result<Id> {
    let network = user_network(name, |n| {
        n.driver = "macvlan".into();
        n.options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        change(n);
    });
    host.networks.create(network).map(|created| created.id)
}

#[test]
fn macvlan_without_a_parent_is_a_network_of_its_own() {
    testing::in_userns("tests::lan::macvlan_without_a_parent_is_a_network_of_its_own", || {
        let host = Host::new();
        lan(&host, "lan", &[], |_| {}).unwrap();
        let (id, a) = host.container(&["lan"], &[port(Protocol::Tcp, 8080, 80)]);
        let (_, b) = host.container(&["lan"], &[]);
        let (_, stranger) = host.container(&["bridge"], &[]);
        let from = b.endpoints[0].ipv4.unwrap().addr();
        let to = format!("{}:80", a.endpoints[0].ipv4.unwrap().addr());
        assert!(a.ports.is_empty(), "nothing is published: {:?}", a.ports);
        assert_eq!(a.endpoints[0].gateway_v4, None);
        tcp_server(&a.netns, "0.0.0.0:80", tell_peer);
        assert_eq!(hear(&b.netns, &to).unwrap(), from.to_string());
        assert!(hear(&stranger.netns, &to).is_err(), "another network's containers do not get in");
        assert_eq!(connect(&b.netns, "198.51.100.1:80").unwrap_err().kind(), ErrorKind::NetworkUnreachable);
        host.networks.stop(&id).unwrap();
        let left = at(&a.netns, || Netlink::route_here().unwrap().links().unwrap());
        assert_eq!(left.len(), 1, "the address is free once the interface is gone: {left:?}");
    });
}

#[test]
fn macvlan_on_a_bridge_reaches_its_neighbours_by_their_addresses() {
    testing::in_userns("tests::lan::macvlan_on_a_bridge_reaches_its_neighbours_by_their_addresses", || {
        let host = Host::new();
        let named = [("com.docker.network.bridge.name", "lan0")];
        let bridge = |n: &mut NewNetwork| {
            n.options = named.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        };
        host.networks.create(user_network("wire", bridge)).unwrap();
        let subnets = |n: &mut NewNetwork| {
            for (subnet, gateway) in [("10.8.0.0/24", "10.8.0.9"), ("10.9.0.0/24", "")] {
                let pool =
                    crate::NewPool { subnet: subnet.into(), gateway: gateway.into(), ..Default::default() };
                n.pools.push(pool);
            }
        };
        lan(&host, "lan", &[("parent", "lan0"), ("macvlan_mode", "bridge")], subnets).unwrap();
        let (_, one) = host.container(&["lan"], &[]);
        assert_eq!(one.endpoints[0].ipv4.unwrap().to_string(), "10.8.0.1/24");
        assert_eq!(one.endpoints[0].gateway_v4, Some("10.8.0.9".parse().unwrap()));
        let mut wanted = request(&["lan"], &[]);
        wanted.endpoints[0].ipv4 = Some("10.9.0.77".parse().unwrap());
        wanted.endpoints[0].mac = Some("02:00:00:00:00:08".parse().unwrap());
        let two = host.networks.start(wanted).unwrap();
        assert_eq!(two.endpoints[0].ipv4.unwrap().to_string(), "10.9.0.77/24", "of the second subnet");
        assert_eq!(two.endpoints[0].gateway_v4, None, "which has no gateway");
        // A bridge has a carrier, and what is on it can talk, while one of its ports is up.
        let (_, _port) = host.container(&["wire"], &[]);
        let mut third = request(&["lan"], &[]);
        third.endpoints[0].ipv4 = Some("10.9.0.78".parse().unwrap());
        let third = host.networks.start(third).unwrap();
        tcp_server(&two.netns, "0.0.0.0:80", tell_peer);
        let heard = eventually(|| hear(&third.netns, "10.9.0.77:80").map_err(|e| e.to_string()));
        assert_eq!(heard, "10.9.0.78");
        let neighbours = at(&third.netns, || std::fs::read_to_string("/proc/thread-self/net/arp").unwrap());
        assert!(neighbours.contains("02:00:00:00:00:08"), "{neighbours}");
    });
}

#[test]
fn a_live_container_joins_and_leaves_a_macvlan() {
    testing::in_userns("tests::lan::a_live_container_joins_and_leaves_a_macvlan", || {
        let host = Host::new();
        lan(&host, "lan", &[], |_| {}).unwrap();
        let (id, sandbox) = host.container(&["bridge"], &[]);
        let interfaces = || {
            let found = at(&sandbox.netns, || Netlink::route_here().unwrap().links().unwrap());
            found.into_iter().map(|link| link.name).collect::<Vec<_>>()
        };
        let wanted = EndpointRequest { network: "lan".into(), ..Default::default() };
        assert!(!host.networks.connect(&id, wanted).unwrap().is_bridged());
        assert_eq!(interfaces(), ["lo", "eth0", "eth1"]);
        host.networks.disconnect(&id, "lan").unwrap();
        assert_eq!(interfaces(), ["lo", "eth0"]);
        host.networks.remove("lan").unwrap();
        let links = host.networks.router.netlink(Netlink::links).unwrap();
        assert!(!links.iter().any(|link| link.name.starts_with("dm-")), "{links:?}");
    });
}

#[test]
fn a_parent_that_is_not_there_is_named() {
    testing::in_userns("tests::lan::a_parent_that_is_not_there_is_named", || {
        let host = Host::new();
        let error = lan(&host, "lan", &[("parent", "eth7")], |_| {}).unwrap_err();
        assert_eq!(error.kind(), model::ErrorKind::InvalidParameter);
        assert!(error.to_string().contains("eth7") && error.to_string().contains("docker0"), "{error}");
        assert!(host.networks.get("lan").is_err(), "nothing is left of it");
    });
}

#[test]
fn ipvlan_in_layer_three_routes_out_of_the_interface() {
    testing::in_userns("tests::lan::ipvlan_in_layer_three_routes_out_of_the_interface", || {
        let host = Host::new();
        let create = |mode: &str| {
            lan(&host, "lan", &[("parent", "docker0"), ("ipvlan_mode", mode)], |n| n.driver = "ipvlan".into())
        };
        create("l3").unwrap();
        assert!(create("l2").unwrap_err().to_string().contains("already exists"));
        let started = host.networks.start(request(&["lan"], &[]));
        let sandbox = match started {
            Ok(sandbox) => sandbox,
            Err(error) => {
                assert!(!std::path::Path::new("/sys/module/ipvlan").exists(), "{error}");
                assert!(error.to_string().starts_with("the kernel has no ipvlan interfaces"), "{error}");
                assert_eq!(error.kind(), model::ErrorKind::NotImplemented);
                return;
            }
        };
        assert_eq!((sandbox.endpoints[0].mac, sandbox.endpoints[0].on_link), (None, true));
        let routes = at(&sandbox.netns, || std::fs::read_to_string("/proc/thread-self/net/route").unwrap());
        assert!(routes.contains("eth0\t00000000\t00000000"), "a default route without a gateway: {routes}");
    });
}
