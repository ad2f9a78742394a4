//! Changes of networks that fail half way, or whose engine dies half way.

use super::*;
use crate::{Error, plumbing, router::BridgePlan};
use std::collections::BTreeMap;

/// How far connecting got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Noted,
    Made,
    Rerouted,
    Announced,
}

/// The interface of a namespace's default route for IPv4 (proc_net(5)).
fn default_interface(netns: &OwnedFd) -> Option<String> {
    let table = at(netns, || std::fs::read_to_string("/proc/thread-self/net/route").unwrap());
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find(|words| words.get(1) == Some(&"00000000"))?;
    Some(found[0].to_owned())
}

fn interfaces(netns: &OwnedFd) -> Vec<String> {
    let links = netns::inside(netns.as_fd(), || Netlink::route_here()?.links()).unwrap();
    links.into_iter().map(|link| link.name).filter(|name| name.starts_with("eth")).collect()
}

/// Whether somebody listens at 127.0.0.11 (proc_net(5)).
pub(super) fn has_resolver(netns: &OwnedFd) -> bool {
    let table = at(netns, || std::fs::read_to_string("/proc/thread-self/net/udp").unwrap());
    table.contains(" 0B00007F:")
}

/// What is in the router namespace: bridges and ends of veth pairs that are not on a shelf, and closed subnets.
fn router(host: &Host) -> (Vec<String>, Vec<IpNet>) {
    let mut links = host.networks.router.netlink(Netlink::links).unwrap();
    links.retain(|link| link.is_bridge || (link.is_veth && !host.networks.stock.holds(&link.name)));
    let mut names: Vec<String> = links.into_iter().map(|link| link.name).collect();
    names.sort();
    let mut closed = host.networks.router.netlink(|netlink| netlink.prohibited(200)).unwrap();
    closed.sort();
    (names, closed)
}

/// A host with a container on `front`, which serves the published port 8080, and a neighbour on `added`.
pub(super) fn two() -> (Host, (Id, Sandbox), (Id, Sandbox)) {
    let host = Host::new();
    for name in ["front", "added"] {
        host.networks.create(user_network(name, |_| {})).unwrap();
    }
    let changed = host.container(&["front"], &[port(Protocol::Tcp, 8080, 80)]);
    // So it does not ask others for names without a dot.
    let asking = SandboxRequest { ndots_chosen: true, ..request(&["added"], &[]) };
    let neighbour = (asking.container.clone(), host.networks.start(asking).unwrap());
    tcp_server(&changed.1.netns, "0.0.0.0:80", tell_peer);
    (host, changed, neighbour)
}

/// It would hold the default route, and the published port.
pub(super) fn wanted() -> EndpointRequest {
    let aliases = vec!["half".into()];
    EndpointRequest { network: "added".into(), gateway_priority: 1, aliases, ..Default::default() }
}

pub(super) fn adopt(host: &Host, (id, sandbox): &(Id, Sandbox)) -> crate::SandboxRecord {
    host.networks.adopt(id, sandbox.netns.try_clone().unwrap()).unwrap().unwrap()
}

/// The container is on `front` alone, as if nothing had been tried, and can join `added`.
fn check_untouched(host: &Host, (id, sandbox): &(Id, Sandbox), neighbour: &Sandbox, after: &str) {
    assert_eq!(interfaces(&sandbox.netns), ["eth0"], "{after}");
    assert_eq!(default_interface(&sandbox.netns).as_deref(), Some("eth0"), "{after}");
    assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT, "{after}");
    let (_, found) = naming::look_up(neighbour, "half", naming::A);
    assert!(found.is_empty(), "{after}: {found:?}");
    let endpoint = host.networks.connect(id, wanted()).unwrap();
    assert_eq!(endpoint.ipv4.unwrap().to_string(), "172.19.0.3/16", "{after}");
    assert_eq!(default_interface(&sandbox.netns).as_deref(), Some("eth1"), "{after}");
    assert_eq!(hear(&host.client, "198.51.100.1:8080").unwrap(), CLIENT, "{after}");
    assert_eq!(naming::look_up(neighbour, "half", naming::A).1, [[172, 19, 0, 3]], "{after}");
}

/// Each on a host of its own.
fn on_hosts_of_their_own(steps: impl IntoIterator<Item = Step>, check: impl Fn(Step) + Sync + Send + Copy) {
    for step in steps {
        netns::create(|| {
            check(step);
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn an_engine_that_dies_while_it_connects_leaves_nothing_of_it() {
    testing::in_userns("tests::changes::an_engine_that_dies_while_it_connects_leaves_nothing_of_it", || {
        on_hosts_of_their_own([Step::Noted, Step::Made, Step::Rerouted, Step::Announced], |step| {
            let (host, changed, neighbour) = two();
            let networks = &host.networks;
            let (before, endpoint, port) = networks.plan_connect(&changed.0, &wanted()).unwrap();
            let mut after = before.clone();
            after.endpoints.push(endpoint.clone());
            networks.note(&before, &endpoint).unwrap();
            let mut namespace = networks.hold(&changed.0).unwrap();
            if step >= Step::Made {
                plumbing::plug(&networks.router, &mut namespace, &endpoint, &port).unwrap();
            }
            if step >= Step::Rerouted {
                networks.reroute(&mut namespace, &before, &mut after).unwrap();
                assert_eq!(default_interface(&changed.1.netns).as_deref(), Some("eth1"));
            }
            if step >= Step::Announced {
                networks.announce(&after, &std::sync::Arc::new(namespace.fd)).unwrap();
            }
            let host = host.restart();
            adopt(&host, &neighbour);
            assert_eq!(adopt(&host, &changed), before, "after {step:?}");
            host.networks.settle().unwrap();
            check_untouched(&host, &changed, &neighbour.1, &format!("after {step:?}"));
        });
    });
}

#[test]
fn an_engine_that_dies_while_it_disconnects_has_a_successor_that_does() {
    let test = "tests::changes::an_engine_that_dies_while_it_disconnects_has_a_successor_that_does";
    testing::in_userns(test, || {
        on_hosts_of_their_own([Step::Noted, Step::Made, Step::Rerouted], |step| {
            let (host, changed, neighbour) = two();
            let networks = &host.networks;
            let untouched = networks.sandbox(&changed.0).unwrap();
            let endpoint = networks.connect(&changed.0, wanted()).unwrap();
            let before = networks.sandbox(&changed.0).unwrap();
            networks.note(&before, &endpoint).unwrap();
            let mut namespace = networks.hold(&changed.0).unwrap();
            if step >= Step::Made {
                plumbing::unplug(&networks.router, &mut namespace, &endpoint).unwrap();
            }
            if step >= Step::Rerouted {
                let mut after = untouched.clone();
                networks.reroute(&mut namespace, &before, &mut after).unwrap();
            }
            let host = host.restart();
            adopt(&host, &neighbour);
            assert_eq!(adopt(&host, &changed), untouched, "after {step:?}");
            host.networks.settle().unwrap();
            check_untouched(&host, &changed, &neighbour.1, &format!("after {step:?}"));
        });
    });
}

#[test]
fn a_connect_that_fails_is_undone_at_each_step() {
    testing::in_userns("tests::changes::a_connect_that_fails_is_undone_at_each_step", || {
        let (host, changed, neighbour) = two();
        // The interface is there, and cannot be configured.
        let sysctl = "net.ipv4.conf.IFNAME.not_a_setting=1".to_owned();
        let options = BTreeMap::from([("com.docker.network.endpoint.sysctls".to_owned(), sysctl)]);
        let refused = EndpointRequest { driver_options: options, ..wanted() };
        let error = host.networks.connect(&changed.0, refused).unwrap_err().to_string();
        assert!(error.contains("not_a_setting"), "{error}");
        host.networks.reaper.finish();
        check_untouched(&host, &changed, &neighbour.1, "not configured");

        // Routes lead to it, and a port that it would publish is another program's.
        host.networks.create(user_network("inner", |n| n.internal = true)).unwrap();
        let (id, inner) = host.container(&["inner"], &[port(Protocol::Tcp, 8081, 80)]);
        let before = host.networks.sandbox(&id).unwrap();
        let there = router(&host);
        let other = TcpListener::bind("0.0.0.0:8081").unwrap();
        let error = host.networks.connect(&id, wanted()).unwrap_err().to_string();
        assert!(error.contains("address already in use"), "{error}");
        host.networks.reaper.finish();
        assert_eq!(host.networks.sandbox(&id).unwrap(), before);
        assert_eq!(interfaces(&inner.netns), ["eth0"]);
        assert_eq!(default_interface(&inner.netns), None);
        assert_eq!(router(&host), there);
        drop(other);
        tcp_server(&inner.netns, "0.0.0.0:80", tell_peer);
        host.networks.connect(&id, wanted()).unwrap();
        assert_eq!(hear(&host.client, "198.51.100.1:8081").unwrap(), CLIENT);
    });
}

#[test]
fn a_network_that_cannot_be_made_leaves_nothing() {
    testing::in_userns("tests::changes::a_network_that_cannot_be_made_leaves_nothing", || {
        let host = Host::new();
        let there = (router(&host), host.networks.list());
        let fails = |change: &dyn Fn(&mut NewNetwork)| {
            let error = host.networks.create(user_network("made", |n| change(n))).unwrap_err();
            assert_eq!((router(&host), host.networks.list()), there, "{error}");
            error
        };
        // No bridge: an interface of another kind has the name, and keeps it.
        let index = host.networks.router.netlink(|netlink| netlink.link("docker0")).unwrap().index;
        let taken = link::Veth {
            name: "taken0",
            bridge: index,
            mtu: 1500,
            peer: "far0",
            peer_mac: crate::MacAddr::random(),
            peer_namespace: host.client.as_fd(),
        };
        host.networks.router.netlink(|netlink| netlink.change(link::add_veth(&taken))).unwrap();
        let named = |name: &'static str| {
            move |n: &mut NewNetwork| {
                n.options.insert("com.docker.network.bridge.name".into(), name.into());
            }
        };
        let there = (router(&host), host.networks.list());
        let not_a_bridge = host.networks.create(user_network("made", named("taken0"))).unwrap_err();
        assert!(matches!(&not_a_bridge, Error::NotABridge { name } if name == "taken0"), "{not_a_bridge}");
        assert_eq!((router(&host), host.networks.list()), there);
        host.networks.router.netlink(|netlink| netlink.change(link::delete("taken0"))).unwrap();
        for own in ["lo", "lichen0", "tap0"] {
            assert!(matches!(fails(&named(own)), Error::InvalidOption { .. }));
        }
        // No address: the kernel takes none that means many hosts.
        let error = fails(&|n| {
            n.enable_ipv6 = Some(true);
            n.pools = vec![crate::NewPool { subnet: "ff05::/64".into(), ..Default::default() }];
        });
        assert!(error.to_string().contains("add address ff05::1/64"), "{error}");
        let policies = host.close_policies();
        let there = (router(&host), host.networks.list());
        let error = host.networks.create(user_network("made", |_| {})).unwrap_err();
        assert!(matches!(error, Error::Bypass { .. }), "{error}");
        assert_eq!((router(&host), host.networks.list()), there);
        std::fs::remove_file(&policies).unwrap();
        host.networks.create(user_network("made", |_| {})).unwrap();
    });
}

/// The records are on a file system that is full.
#[test]
fn a_network_that_cannot_be_recorded_leaves_nothing() {
    testing::in_userns("tests::changes::a_network_that_cannot_be_recorded_leaves_nothing", || {
        let _client = host_network();
        let (router_namespace, ()) = netns::create(|| Ok(())).unwrap();
        let (run_dir, records) = (short_directory(), short_directory());
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("records"), records.path(), Some("tmpfs"), flags, Some("size=1m")).unwrap();
        let store = Store::open(records.path().join("records.db")).unwrap();
        let run = RunLayout::new(run_dir.path());
        let networks = Networks::open(config(&run, &router_namespace, OutwardChoice::None), &store).unwrap();
        networks.settle().unwrap();
        let names = || {
            let links = networks.router.netlink(Netlink::links).unwrap();
            links.into_iter().filter(|link| link.is_bridge).map(|link| link.name).collect::<Vec<_>>()
        };
        let (there, listed) = (names(), networks.list());
        let ballast = records.path().join("ballast");
        std::fs::write(&ballast, vec![0; 2 << 20]).expect_err("the file system holds half of it");
        // More than what the log of changes has room for already.
        let label = ("label".to_owned(), "x".repeat(256 << 10));
        let large = || user_network("made", |n| n.labels.extend([label.clone()]));
        let error = networks.create(large()).unwrap_err();
        assert!(matches!(error, Error::Store(_)), "{error}");
        assert_eq!((names(), networks.list()), (there, listed));
        std::fs::remove_file(ballast).unwrap();
        networks.create(large()).unwrap();
        networks.shutdown().unwrap();
    });
}

#[test]
fn a_network_whose_engine_died_before_its_record_is_gone() {
    testing::in_userns("tests::changes::a_network_whose_engine_died_before_its_record_is_gone", || {
        let host = Host::new();
        let there = router(&host);
        let plan = BridgePlan {
            name: "br-0123456789ab".into(),
            mtu: 1500,
            addresses: vec![net("203.0.113.1", 24), net("fd00:113::1", 64)],
            subnets: vec![net("203.0.113.0", 24), net("fd00:113::", 64)],
            outward: true,
            is_parent: false,
        };
        host.networks.router.add_bridge(&plan).unwrap();
        assert_eq!(router(&host).1.len(), there.1.len() + 2);
        let host = host.restart();
        host.networks.settle().unwrap();
        // The engine that died may have put one more interface on its shelf.
        eventually(|| if router(&host) == there { Ok(()) } else { Err(format!("{:?}", router(&host))) });
    });
}

/// As after an engine that died between its record of a sandbox and the container.
#[test]
fn names_of_a_container_that_nobody_adopts_are_forgotten() {
    testing::in_userns("tests::changes::names_of_a_container_that_nobody_adopts_are_forgotten", || {
        let (host, (id, sandbox), neighbour) = two();
        host.networks.connect(&id, wanted()).unwrap();
        assert_eq!(naming::look_up(&neighbour.1, "half", naming::A).1, [[172, 19, 0, 3]]);
        let host = host.restart();
        adopt(&host, &neighbour);
        host.networks.settle().unwrap();
        assert!(naming::look_up(&neighbour.1, "half", naming::A).1.is_empty());
        assert!(!has_resolver(&sandbox.netns));
        assert!(has_resolver(&neighbour.1.netns));
    });
}

#[test]
fn a_container_that_leaves_its_last_network_with_names_has_no_resolver_any_more() {
    let test = "tests::changes::a_container_that_leaves_its_last_network_with_names_has_no_resolver_any_more";
    testing::in_userns(test, || {
        let (host, (id, sandbox), _) = two();
        assert!(has_resolver(&sandbox.netns));
        let bridge = EndpointRequest { network: "bridge".into(), ..Default::default() };
        host.networks.connect(&id, bridge).unwrap();
        host.networks.disconnect(&id, "front").unwrap();
        assert!(!has_resolver(&sandbox.netns));
        host.networks.connect(&id, wanted()).unwrap();
        assert_eq!(naming::look_up(&sandbox, "half", naming::A).1, [[172, 19, 0, 3]]);
    });
}
