//! Published ports with slirp4netns or pasta listening on the host.

use super::*;
use crate::PortDriver;

fn host(outward: OutwardChoice, port_driver: PortDriver) -> Host {
    let client = host_network();
    let (router, ()) = netns::create(|| Ok(())).unwrap();
    let run_dir = short_directory();
    let run = RunLayout::new(run_dir.path());
    let store = Store::in_memory().unwrap();
    let mut config = config(&run, &router, outward);
    config.outward.port_driver = port_driver;
    let networks = Networks::open(config, &store).unwrap();
    networks.settle().unwrap();
    Host { networks, store, router, client, _run: run_dir, run }
}

fn check(outward: OutwardChoice, port_driver: PortDriver) {
    let host = host(outward, port_driver);
    assert_eq!(host.networks.outward().port_driver, port_driver.as_str());
    let ports = [port(Protocol::Tcp, 8080, 80), port(Protocol::Udp, 8053, 53)];
    let (id, sandbox) = host.container(&["bridge"], &ports);
    assert_eq!(sandbox.ports.len(), 4, "of both families: {:?}", sandbox.ports);
    tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
    udp_server(&sandbox.netns, "0.0.0.0:53");
    let heard = eventually(|| hear(&host.client, "198.51.100.1:8080").map_err(|e| e.to_string()));
    assert_eq!(heard, CLIENT, "the client's address is kept");
    let heard = eventually(|| {
        ask_udp(&host.client, "0.0.0.0:0", "198.51.100.1:8053", "q").map_err(|e| e.to_string())
    });
    assert!(heard.ends_with(" q"), "{heard}");
    let clash = host.networks.start(request(&["bridge"], &ports)).unwrap_err().to_string();
    assert!(clash.contains("port is already allocated"), "{clash}");
    let _taken = TcpListener::bind("198.51.100.1:8081").unwrap();
    let wanted = request(&["bridge"], &[port(Protocol::Tcp, 8081, 80)]);
    let taken = host.networks.start(wanted).unwrap_err().to_string();
    assert!(taken.contains("address already in use"), "{taken}");
    // What either program forgets when it dies, it is told again.
    let killed = kill_forwarder(&host);
    eventually(|| if forwarder(&host).process == killed { Err("no new forwarder".into()) } else { Ok(()) });
    eventually(|| {
        hear(&host.client, "198.51.100.1:8080").map_err(|e| format!("after the forwarder was killed: {e}"))
    });
    outward::kill_program(&host, outward);
    eventually(|| {
        hear(&host.client, "198.51.100.1:8080").map_err(|e| format!("after the driver was killed: {e}"))
    });
    host.networks.stop(&id).unwrap();
    eventually(|| match TcpListener::bind("0.0.0.0:8080") {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the port is not free again: {error}")),
    });
}

#[test]
fn slirp4netns_publishes() {
    testing::in_userns("tests::port_drivers::slirp4netns_publishes", || {
        check(OutwardChoice::Slirp4netns, PortDriver::Slirp4netns);
    });
}

#[test]
fn a_port_driver_needs_its_program_to_lead_out() {
    testing::in_userns("tests::port_drivers::a_port_driver_needs_its_program_to_lead_out", || {
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let run_dir = short_directory();
        let mut config = config(&RunLayout::new(run_dir.path()), &router, OutwardChoice::Pasta);
        config.outward.port_driver = PortDriver::Slirp4netns;
        let error = Networks::open(config, &Store::in_memory().unwrap()).err().unwrap();
        assert_eq!(error.to_string(), "port driver slirp4netns needs --net=slirp4netns, not pasta");
        assert_eq!(error.kind(), model::ErrorKind::InvalidParameter);
    });
}

/// Debian 12's is too old for it.
fn pasta_can_publish() -> bool {
    let (router, ()) = netns::create(|| Ok(())).unwrap();
    let run_dir = short_directory();
    let mut config = config(&RunLayout::new(run_dir.path()), &router, OutwardChoice::Pasta);
    config.outward.port_driver = PortDriver::Implicit;
    let opened = Networks::open(config, &Store::in_memory().unwrap());
    match opened {
        Ok(networks) => {
            networks.shutdown().unwrap();
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(
                text.contains("is too old: 2023_12_04 or later is needed for --port-driver implicit"),
                "{text}"
            );
            eprintln!("skipped: {text}");
            false
        }
    }
}

#[test]
fn pasta_publishes() {
    testing::in_userns("tests::port_drivers::pasta_publishes", || {
        if pasta_can_publish() {
            check(OutwardChoice::Pasta, PortDriver::Implicit);
        }
    });
}

#[test]
fn pasta_keeps_the_hosts_loopback_to_itself() {
    testing::in_userns("tests::port_drivers::pasta_keeps_the_hosts_loopback_to_itself", || {
        if !pasta_can_publish() {
            return;
        }
        let host = host(OutwardChoice::Pasta, PortDriver::Implicit);
        let local = PortRequest { host_ip: Some(ip("127.0.0.1")), ..port(Protocol::Tcp, 8082, 80) };
        let (_, sandbox) = host.container(&["bridge"], &[local]);
        tcp_server(&sandbox.netns, "0.0.0.0:80", tell_peer);
        eventually(|| hear(&here(), "127.0.0.1:8082").map_err(|e| e.to_string()));
        // pasta accepts, and hangs up when the router namespace has refused.
        let heard = hear(&host.client, "198.51.100.1:8082").unwrap_or_default();
        assert_eq!(heard, "", "others than the host reach it");
    });
}
