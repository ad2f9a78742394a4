//! Which subnets networks get that name none, and the network `bridge`.

use super::*;

/// Networks of one engine and the next, with these default address pools.
fn automatic_subnets(pools: &[(&str, u8)]) -> Vec<Vec<String>> {
    let pool = |(base, size): &(&str, u8)| crate::AddressPool { base: base.parse().unwrap(), size: *size };
    let (router, ()) = netns::create(|| Ok(())).unwrap();
    let (run, store) = (short_directory(), Store::in_memory().unwrap());
    let open = || {
        let mut config = config(&RunLayout::new(run.path()), &router, OutwardChoice::None);
        config.address_pools = pools.iter().map(pool).collect();
        Networks::open(config, &store).unwrap()
    };
    for name in ["n1", "n2"] {
        let networks = open();
        networks.create(user_network(name, |n| n.enable_ipv6 = Some(true))).unwrap();
        networks.shutdown().unwrap();
    }
    let all = open();
    all.shutdown().unwrap();
    let subnets = |network: crate::Network| network.pools.iter().map(|p| p.subnet.to_string()).collect();
    ["bridge", "n1", "n2"].map(|name| subnets(all.get(name).unwrap())).to_vec()
}

#[test]
fn subnets_come_from_the_pools_of_their_family_or_are_unique_local_ones() {
    testing::in_userns(
        "tests::subnets::subnets_come_from_the_pools_of_their_family_or_are_unique_local_ones",
        || {
            let both = automatic_subnets(&[("10.200.0.0/16", 24), ("2001:db8:aa00::/56", 64)]);
            assert_eq!(both[0], ["10.200.0.0/24"]);
            assert_eq!(both[1], ["10.200.1.0/24", "2001:db8:aa00::/64"]);
            assert_eq!(both[2], ["10.200.2.0/24", "2001:db8:aa00:1::/64"]);
            let four = automatic_subnets(&[("10.200.0.0/16", 24)]);
            assert_eq!(
                (&four[1][0], &four[2][0]),
                (&"10.200.1.0/24".to_owned(), &"10.200.2.0/24".to_owned())
            );
            // All in one /48 of this engine's, which the next has as well (RFC 4193).
            let [first, second] = [1, 2].map(|n: usize| four[n][1].parse::<ipnet::Ipv6Net>().unwrap());
            assert!(first.addr().octets()[0] == 0xfd && first.prefix_len() == 64, "{first}");
            assert_eq!(first.addr().segments()[3], 0);
            assert_eq!(second.addr().segments()[..3], first.addr().segments()[..3]);
            assert_eq!(second.addr().segments()[3], 1);
        },
    );
}

/// The subnets and gateways of the network `bridge`, with this of IPv6. The engine before left the record of a container
/// whose addresses are of another subnet.
fn default_bridge(
    store: &Store,
    router: &OwnedFd,
    v6: Option<crate::DefaultBridgeV6>,
) -> Result<Vec<String>> {
    let run = short_directory();
    let mut config = config(&RunLayout::new(run.path()), router, OutwardChoice::None);
    config.bridge.ipv6 = v6;
    let networks = Networks::open(config, store)?;
    let bridge = networks.get("bridge")?;
    let sandbox = networks.start(request(&["bridge"], &[]))?;
    let has_six = sandbox.endpoints[0].ipv6.is_some_and(|net| bridge.contains(net.addr().into()));
    assert_eq!((bridge.ipv6, has_six), (bridge.pools.len() == 2, bridge.ipv6));
    networks.shutdown()?;
    Ok(bridge.pools.iter().map(|pool| format!("{} {}", pool.subnet, pool.gateway.unwrap())).collect())
}

#[test]
fn the_default_bridge_has_ipv6_where_it_was_asked_for() {
    testing::in_userns("tests::subnets::the_default_bridge_has_ipv6_where_it_was_asked_for", || {
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let store = Store::in_memory().unwrap();
        let open = |bip: Option<&str>, fixed: Option<&str>| {
            let parse = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            let v6 = crate::DefaultBridgeV6 { bip: parse(bip), fixed_cidr: parse(fixed) };
            default_bridge(&store, &router, Some(v6))
        };
        assert_eq!(default_bridge(&store, &router, None).unwrap(), ["172.17.0.0/16 172.17.0.1"]);
        let chosen = open(None, None).unwrap();
        assert!(chosen[1].starts_with("fd") && chosen[1].ends_with("::1"), "{chosen:?}");
        assert_eq!(open(None, None).unwrap(), chosen, "it is kept");
        assert_eq!(open(None, Some("2001:db8:1::/64")).unwrap()[1], "2001:db8:1::/64 2001:db8:1::1");
        let both = open(Some("2001:db8:2::9/64"), Some("2001:db8:2::100/120")).unwrap();
        assert_eq!(both[1], "2001:db8:2::/64 2001:db8:2::9");
        let outside = open(Some("2001:db8:2::9/64"), Some("2001:db8:3::/80")).unwrap_err().to_string();
        assert!(outside.contains("fixed-cidr-v6 2001:db8:3::/80 is not within"), "{outside}");
        assert_eq!(default_bridge(&store, &router, None).unwrap().len(), 1, "and goes again");
    });
}

/// The engine is killed and told of another `bip6`, and its container runs on.
#[test]
fn addresses_of_containers_that_ran_on_are_nobody_elses() {
    testing::in_userns("tests::subnets::addresses_of_containers_that_ran_on_are_nobody_elses", || {
        let mut host = Host::new();
        let open = |host: &mut Host, bip: &str| {
            let mut config = config(&host.run, &host.router, OutwardChoice::None);
            let bip = Some(bip.parse().unwrap());
            config.bridge.ipv6 = Some(crate::DefaultBridgeV6 { bip, fixed_cidr: None });
            host.networks = Networks::open(config, &host.store).unwrap();
        };
        let of = |sandbox: &Sandbox| {
            let endpoint = &sandbox.endpoints[0];
            [endpoint.ipv4.unwrap().addr().to_string(), endpoint.ipv6.unwrap().addr().to_string()]
        };
        open(&mut host, "2001:db8:1::1/64");
        let (kept, sandbox) = host.container(&["bridge"], &[]);
        assert_eq!(of(&sandbox), ["172.17.0.2", "2001:db8:1::2"]);
        // Its address is the gateway's now.
        open(&mut host, "2001:db8:1::2/64");
        host.networks.adopt(&kept, sandbox.netns.try_clone().unwrap()).unwrap().unwrap();
        host.networks.settle().unwrap();
        let (_, second) = host.container(&["bridge"], &[]);
        assert_eq!(of(&second), ["172.17.0.3", "2001:db8:1::1"]);
        host.networks.stop(&kept).unwrap();
        host.networks.reaper.finish();
        let (_, third) = host.container(&["bridge"], &[]);
        assert_eq!(
            of(&third),
            ["172.17.0.2", "2001:db8:1::3"],
            "what was taken is free, the gateway's is not"
        );
    });
}

/// Each has its bridge, and is closed to the others, however its neighbours come and go.
#[test]
fn networks_made_and_removed_at_once_have_subnets_of_their_own() {
    let test = "tests::subnets::networks_made_and_removed_at_once_have_subnets_of_their_own";
    testing::in_userns(test, || {
        let host = Host::new();
        let work = |worker: usize| {
            for round in 0..10 {
                let name = format!("made-{worker}-{round}");
                host.networks.create(user_network(&name, |_| {})).unwrap();
                if round % 3 > 0 {
                    host.networks.remove(&name).unwrap();
                }
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|worker| scope.spawn(move || work(worker))).collect();
            workers.into_iter().for_each(|worker| worker.join().unwrap());
        });
        let networks = host.networks.list();
        assert_eq!(networks.iter().filter(|network| network.name.starts_with("made-")).count(), 16);
        let mut subnets: Vec<IpNet> =
            networks.iter().flat_map(|network| network.pools.iter().map(|pool| pool.subnet)).collect();
        subnets.sort();
        let mut closed = host.networks.router.netlink(|netlink| netlink.prohibited(200)).unwrap();
        closed.sort();
        assert_eq!(closed, subnets);
        subnets.dedup();
        assert_eq!(closed, subnets, "two networks have one subnet");
        let links = host.networks.router.netlink(Netlink::links).unwrap();
        for network in networks.iter().filter(|network| !network.bridge.is_empty()) {
            assert!(links.iter().any(|link| link.name == network.bridge), "{} has no bridge", network.name);
        }
    });
}
