//! Containers, bridges, and what keeps networks apart.

use super::*;
use std::io::ErrorKind;

#[test]
fn containers_of_a_network_reach_each_other_and_no_other_network() {
    testing::in_userns(
        "tests::bridges::containers_of_a_network_reach_each_other_and_no_other_network",
        || {
            let host = Host::new();
            host.networks.create(user_network("other", |_| {})).unwrap();
            let (_, a) = host.container(&["bridge"], &[]);
            let (_, b) = host.container(&["bridge"], &[]);
            let (_, c) = host.container(&["other"], &[]);
            assert_eq!(a.endpoints[0].ipv4.unwrap().to_string(), "172.17.0.2/16");
            assert_eq!(b.endpoints[0].ipv4.unwrap().to_string(), "172.17.0.3/16");
            assert_eq!(c.endpoints[0].ipv4.unwrap().to_string(), "172.18.0.2/16");
            tcp_server(&a.netns, "0.0.0.0:80", tell_peer);
            assert_eq!(hear(&b.netns, "172.17.0.2:80").unwrap(), "172.17.0.3");
            let denied = hear(&c.netns, "172.17.0.2:80").unwrap_err();
            assert!(
                matches!(denied.kind(), ErrorKind::HostUnreachable | ErrorKind::PermissionDenied),
                "{denied:?}"
            );
        },
    );
}

#[test]
fn an_internal_network_has_no_way_out() {
    testing::in_userns("tests::bridges::an_internal_network_has_no_way_out", || {
        let host = Host::new();
        host.networks.create(user_network("inside", |n| n.internal = true)).unwrap();
        let (_, a) = host.container(&["inside"], &[port(Protocol::Tcp, 8080, 80)]);
        let (_, b) = host.container(&["inside"], &[]);
        assert_eq!(a.endpoints[0].gateway_v4, None);
        assert!(a.ports.is_empty(), "an internal network publishes nothing");
        tcp_server(&a.netns, "0.0.0.0:80", tell_peer);
        assert_eq!(hear(&b.netns, "172.18.0.2:80").unwrap(), "172.18.0.3");
        assert_eq!(connect(&b.netns, "198.51.100.1:80").unwrap_err().kind(), ErrorKind::NetworkUnreachable);
    });
}

#[test]
fn without_icc_only_the_bridge_is_reached() {
    testing::in_userns("tests::bridges::without_icc_only_the_bridge_is_reached", || {
        let host = Host::new();
        let no_icc = |n: &mut NewNetwork| {
            n.options.insert("com.docker.network.bridge.enable_icc".into(), "false".into());
        };
        host.networks.create(user_network("apart", no_icc)).unwrap();
        let (_, a) = host.container(&["apart"], &[port(Protocol::Tcp, 8080, 80)]);
        let (_, b) = host.container(&["apart"], &[]);
        tcp_server(&a.netns, "0.0.0.0:80", tell_peer);
        let to = "172.18.0.2:80".parse().unwrap();
        let refused = at(&b.netns, || TcpStream::connect_timeout(&to, Duration::from_millis(300)));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
    });
}

#[test]
fn a_dual_stack_network_has_both_families() {
    testing::in_userns("tests::bridges::a_dual_stack_network_has_both_families", || {
        let host = Host::new();
        host.networks.create(user_network("dual", |n| n.enable_ipv6 = Some(true))).unwrap();
        let (_, a) = host.container(&["dual"], &[]);
        let (_, b) = host.container(&["dual"], &[]);
        let (six, from) = (a.endpoints[0].ipv6.unwrap().addr(), b.endpoints[0].ipv6.unwrap().addr());
        tcp_server(&a.netns, "[::]:80", tell_peer);
        assert_eq!(hear(&b.netns, &format!("[{six}]:80")).unwrap(), from.to_string());
        let (_, plain) = host.container(&["bridge"], &[]);
        let interfaces =
            at(&plain.netns, || std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
        assert!(!interfaces.contains("eth0"), "no IPv6 where the network has none: {interfaces}");
    });
}

#[test]
fn static_addresses_are_kept_apart() {
    testing::in_userns("tests::bridges::static_addresses_are_kept_apart", || {
        let host = Host::new();
        host.networks.create(user_network("n", |_| {})).unwrap();
        let fixed = |network: &str, address: &str| {
            let mut wanted = request(&[network], &[]);
            wanted.endpoints[0].ipv4 = Some(address.parse().unwrap());
            wanted.endpoints[0].mac = Some("02:00:00:00:00:07".parse().unwrap());
            host.networks.start(wanted)
        };
        let sandbox = fixed("n", "172.18.0.77").unwrap();
        assert_eq!(sandbox.endpoints[0].ipv4.unwrap().to_string(), "172.18.0.77/16");
        let address = at(&sandbox.netns, || std::fs::read_to_string("/proc/thread-self/net/arp").is_ok());
        assert!(address);
        assert_eq!(fixed("n", "172.18.0.77").unwrap_err().to_string(), "Address already in use");
        assert!(fixed("n", "10.0.0.1").unwrap_err().to_string().contains("no configured subnet"));
        assert_eq!(
            fixed("bridge", "172.17.0.9").unwrap_err().to_string(),
            "user specified IP address is supported on user defined networks only"
        );
    });
}

#[test]
fn a_network_in_use_stays_and_an_unused_one_goes() {
    testing::in_userns("tests::bridges::a_network_in_use_stays_and_an_unused_one_goes", || {
        let host = Host::new();
        let id = host.networks.create(user_network("n", |_| {})).unwrap().id;
        let (container, _sandbox) = host.container(&["n"], &[]);
        let error = host.networks.remove("n").unwrap_err();
        assert_eq!(error.kind(), model::ErrorKind::Forbidden);
        assert!(error.to_string().contains("has active endpoints"), "{error}");
        assert_eq!(host.networks.attached(&id).len(), 1);
        host.networks.stop(&container).unwrap();
        eventually(|| host.networks.remove(id.short()).map_err(|e| e.to_string()));
        assert!(matches!(host.networks.get("n"), Err(crate::Error::NotFound { .. })));
        assert!(host.networks.remove("bridge").is_err());
        assert!(host.networks.prune(|_| true).unwrap().is_empty());
    });
}

#[test]
fn connecting_and_disconnecting_move_the_default_route_and_the_ports() {
    testing::in_userns(
        "tests::bridges::connecting_and_disconnecting_move_the_default_route_and_the_ports",
        || {
            let host = Host::new();
            host.networks.create(user_network("inside", |n| n.internal = true)).unwrap();
            host.networks.create(user_network("n", |_| {})).unwrap();
            let (id, sandbox) = host.container(&["inside"], &[port(Protocol::Tcp, 8080, 80)]);
            tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
            let wanted = EndpointRequest { network: "n".into(), ..Default::default() };
            let endpoint = host.networks.connect(&id, wanted.clone()).unwrap();
            assert_eq!(endpoint.interface, "eth1");
            assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
            assert!(matches!(host.networks.connect(&id, wanted), Err(crate::Error::AlreadyConnected { .. })));
            let second =
                EndpointRequest { network: "bridge".into(), gateway_priority: 1, ..Default::default() };
            host.networks.connect(&id, second).unwrap();
            assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
            host.networks.disconnect(&id, "bridge").unwrap();
            assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT);
            host.networks.disconnect(&id, "n").unwrap();
            assert_eq!(
                connect(&host.client, "198.51.100.1:8080").unwrap_err().kind(),
                ErrorKind::ConnectionRefused
            );
            assert_eq!(host.networks.sandbox(&id).unwrap().endpoints.len(), 1);
            assert!(host.networks.disconnect(&id, "n").unwrap_err().to_string().contains("is not connected"));
        },
    );
}

#[test]
fn addresses_come_back_and_nothing_is_left_of_many_starts() {
    testing::in_userns("tests::bridges::addresses_come_back_and_nothing_is_left_of_many_starts", || {
        let host = Host::new();
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        host.container(&["bridge"], &[]);
        host.networks.settle().unwrap();
        // The stock of namespaces fills up again in the background: it is full when nothing has changed for a second.
        let mut samples = vec![descriptors()];
        while samples.len() < 10 {
            thread::sleep(Duration::from_millis(100));
            let now = descriptors();
            samples.retain(|sample| *sample == now);
            samples.push(now);
        }
        let before = samples[0];
        let (mut starting, mut stopping) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..200 {
            let began = std::time::Instant::now();
            let (id, sandbox) = host.container(&["bridge"], &[]);
            starting += began.elapsed();
            drop(sandbox);
            let began = std::time::Instant::now();
            host.networks.stop(&id).unwrap();
            stopping += began.elapsed();
        }
        eprintln!("start {:?}, stop {:?}", starting / 200, stopping / 200);
        host.networks.reaper.finish();
        let links = host.networks.router.netlink(Netlink::links).unwrap();
        let left = links.iter().filter(|l| l.is_veth && !host.networks.stock.holds(&l.name)).count();
        assert_eq!(left, 1, "the first container's: {links:?}");
        eventually(|| match descriptors() {
            // One socket into the router namespace for each thread that used one at once: this one, that of the stock, and
            // the reaper's, of which one at least had been there before.
            now if now <= before + 2 => Ok(()),
            now => Err(format!("{now} descriptors, {before} before")),
        });
        let (_, sandbox) = host.container(&["bridge"], &[]);
        assert_eq!(sandbox.endpoints[0].ipv4.unwrap().to_string(), "172.17.0.3/16");
    });
}

#[test]
fn a_namespace_off_the_shelf_is_as_good_as_a_new_one() {
    testing::in_userns("tests::bridges::a_namespace_off_the_shelf_is_as_good_as_a_new_one", || {
        let host = Host::new();
        host.networks.create(user_network("n", |_| {})).unwrap();
        let interfaces = |sandbox: &Sandbox| {
            let found = at(&sandbox.netns, || Netlink::route_here().unwrap().links().unwrap());
            found.into_iter().map(|link| link.name).collect::<Vec<_>>()
        };
        for round in 0..6 {
            // With time to fill the shelf, and without.
            thread::sleep(Duration::from_millis(if round % 2 == 0 { 200 } else { 0 }));
            let mut wanted = request(&["n", "bridge"], &[]);
            wanted.endpoints[1].mac = Some("02:00:00:00:00:07".parse().unwrap());
            let both = host.networks.start(wanted).unwrap();
            assert_eq!(interfaces(&both), ["lo", "eth0", "eth1"]);
            let mut wanted = request(&["bridge"], &[]);
            let mac = format!("02:00:00:00:01:0{round}");
            wanted.endpoints[0].mac = Some(mac.parse().unwrap());
            let one = host.networks.start(wanted).unwrap();
            assert_eq!(interfaces(&one), ["lo", "eth0"]);
            let route = at(&one.netns, || std::fs::read_to_string("/proc/thread-self/net/route").unwrap());
            assert_eq!(route.lines().count(), 3, "its subnet and the default: {route}");
            let (_, none) = host.container(&[], &[]);
            assert_eq!(interfaces(&none), ["lo"]);
            tcp_server(&one.netns, "0.0.0.0:80", tell_peer);
            let to = format!("{}:80", one.endpoints[0].ipv4.unwrap().addr());
            assert_eq!(hear(&both.netns, &to).unwrap(), both.endpoints[1].ipv4.unwrap().addr().to_string());
            let neighbours =
                at(&both.netns, || std::fs::read_to_string("/proc/thread-self/net/arp").unwrap());
            assert!(neighbours.contains(&mac), "{neighbours}");
        }
    });
}

#[test]
fn neighbours_of_an_address_that_is_given_again_need_not_learn_another_mac() {
    testing::in_userns(
        "tests::bridges::neighbours_of_an_address_that_is_given_again_need_not_learn_another_mac",
        || {
            let host = Host::new();
            let (_, peer) = host.container(&["bridge"], &[]);
            let (_, server) = host.container(&["bridge"], &[]);
            tcp_server(&server.netns, "0.0.0.0:80", tell_peer);
            let address = server.endpoints[0].ipv4.unwrap().addr();
            hear(&peer.netns, &format!("{address}:80")).unwrap();
            let neighbours =
                at(&peer.netns, || std::fs::read_to_string("/proc/thread-self/net/arp").unwrap());
            let entry = neighbours.lines().find(|line| line.starts_with(&format!("{address} "))).unwrap();
            let mac = entry.split_whitespace().nth(3).unwrap();
            assert_eq!(mac, crate::MacAddr::of(address).to_string());
        },
    );
}

#[test]
fn ping_and_low_ports_need_no_privilege_inside() {
    testing::in_userns("tests::bridges::ping_and_low_ports_need_no_privilege_inside", || {
        let host = Host::new();
        let (_, sandbox) = host.container(&[], &[]);
        let read = |key: &str| {
            let path = format!("/proc/sys/net/ipv4/{key}");
            at(&sandbox.netns, || std::fs::read_to_string(path).unwrap())
        };
        assert_eq!(read("ip_unprivileged_port_start").trim(), "0");
        let range = read("ping_group_range");
        let last: u32 = range.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(last >= 65_535, "{range}");
    });
}

#[test]
fn settings_of_an_interface_are_set_and_foreign_options_are_kept() {
    testing::in_userns(
        "tests::bridges::settings_of_an_interface_are_set_and_foreign_options_are_kept",
        || {
            let host = Host::new();
            let mut wanted = request(&["bridge"], &[]);
            let options = &mut wanted.endpoints[0].driver_options;
            let sysctls = "net.ipv4.conf.IFNAME.forwarding=1,net.ipv4.neigh.IFNAME.gc_stale_time=77";
            options.insert("com.docker.network.endpoint.sysctls".into(), sysctls.into());
            options.insert("com.example.colour".into(), "green".into());
            let sandbox = host.networks.start(wanted).unwrap();
            let read = |key: &str| {
                let path = format!("/proc/sys/net/ipv4/{key}");
                at(&sandbox.netns, || std::fs::read_to_string(path).unwrap())
            };
            assert_eq!(read("conf/eth0/forwarding").trim(), "1");
            assert_eq!(read("neigh/eth0/gc_stale_time").trim(), "77");
            assert_eq!(sandbox.endpoints[0].driver_options.len(), 2);
            let mut bad = request(&["bridge"], &[]);
            let wrong = "net.ipv4.conf.eth0.forwarding=1".to_owned();
            bad.endpoints[0].driver_options.insert("com.docker.network.endpoint.sysctls".into(), wrong);
            let error = host.networks.start(bad).unwrap_err().to_string();
            assert!(error.contains("unrecognised network interface sysctl"), "{error}");
        },
    );
}

#[test]
fn an_isolated_bridge_has_no_address_and_routes_nothing() {
    testing::in_userns("tests::bridges::an_isolated_bridge_has_no_address_and_routes_nothing", || {
        let host = Host::new();
        let isolated = |n: &mut NewNetwork| {
            n.internal = true;
            n.options.insert("com.docker.network.bridge.gateway_mode_ipv4".into(), "isolated".into());
        };
        host.networks.create(user_network("alone", isolated)).unwrap();
        let (_, other) = host.container(&["bridge"], &[]);
        let (_, a) = host.container(&["alone"], &[]);
        let (_, b) = host.container(&["alone"], &[]);
        tcp_server(&other.netns, "0.0.0.0:80", tell_peer);
        tcp_server(&a.netns, "0.0.0.0:80", tell_peer);
        let to = |sandbox: &Sandbox| format!("{}:80", sandbox.endpoints[0].ipv4.unwrap().addr());
        assert!(hear(&b.netns, &to(&a)).is_ok());
        // A container that takes the bridge for a router all the same gets nowhere.
        let bridge = host.networks.get("alone").unwrap().bridge;
        let mac = host.networks.router.netlink(|netlink| netlink.link(&bridge)).unwrap();
        assert!(mac.is_bridge);
        at(&b.netns, || {
            let mut netlink = Netlink::route_here().unwrap();
            let interface = netlink.link("eth0").unwrap().index;
            netlink
                .change(route::add_route(route::MAIN, net("0.0.0.0", 0), &route::Via::Link { interface }))
                .unwrap();
        });
        let reached = at(&b.netns, || {
            TcpStream::connect_timeout(&to(&other).parse().unwrap(), Duration::from_millis(500))
        });
        assert!(reached.is_err(), "{reached:?}");
    });
}
