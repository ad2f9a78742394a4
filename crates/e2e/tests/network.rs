//! Networks as containers and their neighbours see them.

use e2e::{Engine, wait_until};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

fn engine() -> Engine {
    let engine = Engine::start();
    engine.load("busybox");
    engine
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a server on this port of the host sends before it closes.
fn fetch(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn none_has_loopback_only_and_host_is_the_hosts() {
    let engine = engine();
    engine
        .docker(&[
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up",
        ])
        .ok()
        .prints("lo\nup");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello\n").unwrap());
    engine
        .docker(&["run", "--rm", "--network", "host", "busybox", "nc", "127.0.0.1", &port])
        .ok()
        .prints("hello");
    server.join().unwrap();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    engine.docker(&["run", "--rm", "--network", "host", "busybox", "hostname"]).ok().prints(&name);
}

#[test]
fn who_has_no_interface_of_its_own_may_not_set_it_up() {
    let engine = engine();
    engine.docker(&["run", "-d", "--name", "owner", "busybox", "sleep", "1000"]).ok();
    for (network, option, value, text) in [
        ("container:owner", "--hostname", "mine", "conflicting options: hostname and the network mode"),
        (
            "container:owner",
            "--expose",
            "80",
            "conflicting options: port exposing and the container type network mode",
        ),
        ("host", "--ip", "10.1.2.3", "user specified IP address is supported on user defined networks only"),
    ] {
        engine
            .docker(&["run", "--rm", "--network", network, option, value, "busybox", "true"])
            .exits(125)
            .complains(text);
    }
    // What an image exposes was not asked for (moby `validateNetMode` looks at the request).
    engine.docker(&["commit", "--change", "EXPOSE 80", "owner", "example/exposes"]).ok();
    let joined = ["run", "--rm", "--network", "container:owner", "example/exposes", "echo", "joined"];
    engine.docker(&joined).ok().prints("joined");
    engine.docker(&["rm", "-f", "owner"]).ok();
}

#[test]
fn a_published_tcp_port_answers_and_is_freed() {
    let engine = engine();
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:80");
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "web",
            "-p",
            &publish,
            "busybox",
            "sh",
            "-c",
            "while :; do echo served | nc -l -p 80; done",
        ])
        .ok();
    wait_until("the server answers", || (fetch(port)?.trim() == "served").then_some(()));
    engine.docker(&["port", "web"]).ok().prints(&format!("80/tcp -> 127.0.0.1:{port}"));
    engine
        .docker(&["run", "--name", "clash", "-p", &publish, "busybox", "true"])
        .exits(125)
        .complains("port is already allocated");
    engine.docker(&["rm", "-f", "web", "clash"]).ok();
    assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "the port is free again");
}

#[test]
fn a_port_the_kernel_chooses_is_shown() {
    let engine = engine();
    engine
        .docker(&[
            "run", "-d", "--name", "web", "-p", "80", "--expose", "81", "-P", "busybox", "sleep", "1000",
        ])
        .ok();
    let ports = engine.docker(&["port", "web"]).ok();
    assert!(
        ports.stdout.contains("80/tcp -> 0.0.0.0:") && ports.stdout.contains("81/tcp -> 0.0.0.0:"),
        "{ports}"
    );
}

#[test]
fn a_privileged_port_is_refused_with_the_ways_out() {
    let engine = engine();
    engine
        .docker(&["run", "--rm", "-p", "80:80", "busybox", "true"])
        .exits(126) // the docker command line takes every "permission denied" for a program that cannot run
        .complains("cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf (currently 1024)");
}

#[test]
fn containers_reach_each_other_and_a_server_of_the_hosts_network() {
    let engine = engine();
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "a1",
            "busybox",
            "sh",
            "-c",
            "while :; do echo a | nc -l -p 7; done",
        ])
        .ok();
    let address =
        engine.docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "a1"]).ok().text().to_owned();
    assert!(address.starts_with("172.17.0."), "{address}");
    engine.docker(&["run", "--rm", "busybox", "sh", "-c", &format!("nc -w 5 {address} 7")]).ok().prints("a");
    engine
        .docker(&["run", "--rm", "--network", "container:a1", "busybox", "sh", "-c", "nc -w 5 127.0.0.1 7"])
        .ok()
        .prints("a");
}

#[test]
fn the_hosts_loopback_is_out_of_reach() {
    let engine = engine();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for address in ["10.0.2.2", "172.17.0.1", "127.0.0.1"] {
        let run = engine.docker(&["run", "--rm", "busybox", "nc", "-w", "1", address, &port.to_string()]);
        assert!(!run.status.success(), "{run}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nothing reached the host's loopback");
}

#[test]
fn user_defined_networks_come_and_go() {
    let engine = engine();
    engine.docker(&["network", "create", "--subnet", "10.77.0.0/24", "--label", "a=b", "mine"]).ok();
    engine.docker(&["network", "create", "mine"]).exits(1).complains("network with name mine already exists");
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--network",
            "mine",
            "--ip",
            "10.77.0.9",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    engine
        .docker(&["inspect", "-f", "{{.NetworkSettings.Networks.mine.IPAddress}}", "c1"])
        .ok()
        .prints("10.77.0.9");
    engine.docker(&["exec", "c1", "hostname", "-i"]).ok().prints("10.77.0.9");
    engine.docker(&["network", "rm", "mine"]).exits(1).complains("has active endpoints");
    engine.docker(&["rm", "-f", "c1"]).ok();
    engine.docker(&["network", "rm", "mine"]).ok();
    for client in ["docker", "lichen"] {
        let args = ["network", "ls", "--format", "{{.Name}} {{.Driver}}"];
        let run = if client == "docker" { engine.docker(&args) } else { engine.lichen(&args) };
        run.ok().prints("bridge bridge\nhost host\nnone null");
    }
}

#[test]
fn a_network_is_made_from_a_configuration_and_its_containers_know_their_own_names() {
    let engine = engine();
    let create = |words: &str| {
        let arguments: Vec<&str> = ["network", "create"].into_iter().chain(words.split(' ')).collect();
        engine.docker(&arguments)
    };
    create("--config-only --subnet 10.78.0.0/24 --label tier=front settings").ok();
    create("--config-from settings made").ok();
    create("--config-from settings --subnet 10.79.0.0/24 own").exits(1).complains(
        "user specified configurations are not supported if the network depends on a configuration network",
    );
    let shown = "{{.Driver}} {{.ConfigOnly}} {{.ConfigFrom.Network}} {{json .IPAM.Config}} {{json .Labels}}";
    let inspect = |name: &str| engine.docker(&["network", "inspect", "-f", shown, name]).ok();
    inspect("settings").prints(r#"null true  [{"Subnet":"10.78.0.0/24"}] {"tier":"front"}"#);
    inspect("made").prints(
        r#"bridge false settings [{"Subnet":"10.78.0.0/24","Gateway":"10.78.0.1"}] {"tier":"front"}"#,
    );
    // What nobody can be on is not left behind by anybody.
    let dangling = ["network", "ls", "--format", "{{.Name}}", "--filter"];
    engine.docker(&[&dangling[..], &["dangling=true"]].concat()).ok().prints("made");
    engine.docker(&[&dangling[..], &["dangling=false"]].concat()).ok().prints("bridge\nhost\nnone\nsettings");
    let run =
        ["run", "-d", "--name", "c1", "--network", "made", "--hostname", "box", "busybox", "sleep", "1000"];
    engine.docker(&run).ok();
    // By the resolver alone, whatever the hosts file says.
    engine.docker(&["exec", "c1", "sh", "-c", "echo 127.0.0.1 localhost >/etc/hosts; ping -c1 -W5 box"]).ok();
    engine
        .docker(&["run", "--name", "d1", "--network", "settings", "busybox", "true"])
        .exits(125)
        .complains("cannot create endpoint on configuration-only network");
    engine
        .docker(&["network", "rm", "settings"])
        .exits(1)
        .complains("configuration network \"settings\" is in use");
    engine.docker(&["rm", "-f", "c1", "d1"]).ok();
    engine.docker(&["network", "rm", "made", "settings"]).ok();
}

#[test]
fn a_running_container_that_joins_a_network_finds_others_there() {
    let engine = engine();
    engine.docker(&["network", "create", "--subnet", "10.78.0.0/24", "front"]).ok();
    engine.docker(&["run", "-d", "--name", "web1", "--network", "front", "busybox", "sleep", "1000"]).ok();
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "late",
            "--hostname",
            "late.example.org",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    let file = |name: &str| engine.docker(&["exec", "late", "cat", name]).ok().stdout;
    let (hosts, resolv_conf) = (file("/etc/hosts"), file("/etc/resolv.conf"));
    assert!(hosts.contains("\tlate.example.org late\n"), "{hosts}");
    assert!(!resolv_conf.contains("127.0.0.11"), "{resolv_conf}");
    engine.docker(&["exec", "late", "sh", "-c", "echo '10.9.9.9 mine' >> /etc/hosts"]).ok();
    let connect = ["network", "connect", "--alias", "other", "--ip", "10.78.0.77", "front", "late"];
    let further = ["--link-local-ip", "169.254.8.8", "--link-local-ip", "fe80::8:8"];
    engine.docker(&[&connect[..2], &further, &connect[2..]].concat()).ok();
    let addresses = engine.docker(&["exec", "late", "ip", "address"]).ok();
    for address in ["inet 10.78.0.77/24 ", "inet 169.254.8.8/16 ", "inet6 fe80::8:8/64 "] {
        assert!(addresses.stdout.contains(address), "{addresses}");
    }
    assert!(file("/etc/hosts").contains("10.78.0.77\tlate.example.org late\n"));
    assert!(file("/etc/resolv.conf").contains("nameserver 127.0.0.11\n"));
    // nslookup would search in example.org, and nowhere else.
    engine.docker(&["exec", "late", "ping", "-c1", "-W5", "web1"]).ok();
    let ping = engine.docker(&["exec", "web1", "ping", "-c1", "-W5", "other"]).ok();
    assert!(ping.stdout.contains("PING other (10.78.0.77)"), "{ping}");
    engine.docker(&connect).exits(1).complains("already exists in network front");
    engine.docker(&["network", "disconnect", "front", "late"]).ok();
    assert_eq!(file("/etc/hosts"), format!("{hosts}10.9.9.9 mine\n"), "what was written inside stays");
    assert_eq!(file("/etc/resolv.conf"), resolv_conf);
    engine
        .docker(&["network", "disconnect", "front", "late"])
        .exits(1)
        .complains("is not connected to network front");
}

#[test]
fn containers_of_a_macvlan_reach_each_other_and_nobody_else() {
    let engine = engine();
    engine.docker(&["network", "create", "-d", "macvlan", "--subnet", "10.79.0.0/24", "lan"]).ok();
    for (name, network) in [("m1", "lan"), ("m2", "lan"), ("b1", "bridge")] {
        engine.docker(&["run", "-d", "--name", name, "--network", network, "busybox", "sleep", "1000"]).ok();
    }
    engine.docker(&["exec", "m2", "ping", "-c1", "-W5", "m1"]).ok();
    let run = engine.docker(&["exec", "b1", "ping", "-c1", "-W1", "10.79.0.1"]);
    assert!(!run.status.success(), "{run}");
    let shown = engine.docker(&["network", "inspect", "-f", "{{.Driver}} {{len .Containers}}", "lan"]).ok();
    shown.prints("macvlan 2");
    engine
        .docker(&["network", "create", "-d", "macvlan", "-o", "parent=eth99", "nowhere"])
        .exits(1)
        .complains("the requested parent interface eth99 was not found");
}

#[test]
fn networks_that_may_not_go_stay_and_say_why() {
    let engine = engine();
    engine
        .docker(&["network", "rm", "bridge"])
        .exits(1)
        .complains("bridge is a pre-defined network and cannot be removed");
    engine
        .docker(&["network", "create", "host"])
        .exits(1)
        .complains("operation is not permitted on predefined host network");
    engine
        .docker(&["network", "create", "--subnet", "10.80.0.0/24", "--subnet", "10.81.0.0/24", "two"])
        .exits(1)
        .complains("bridge driver doesn't support multiple subnets");
    engine
        .docker(&["network", "create", "-o", "com.docker.network.bridge.name=lichen0", "out"])
        .exits(1)
        .complains("that is the name of an interface of the engine's own");
    engine.docker(&["network", "create", "--subnet", "10.80.0.0/24", "one"]).ok();
    engine
        .docker(&["network", "create", "--subnet", "10.80.0.128/25", "inner"])
        .exits(1)
        .complains("Pool overlaps with other one on this address space");
    engine.docker(&["run", "-d", "--name", "kept1", "--network", "one", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["network", "prune", "-f"]).ok();
    engine.docker(&["network", "inspect", "one"]).ok();
    engine
        .docker(&["network", "connect", "host", "kept1"])
        .exits(1)
        .complains("cannot connect container to host network");
    engine.docker(&["rm", "-f", "kept1"]).ok();
    engine.docker(&["network", "prune", "-f"]).ok();
    engine.docker(&["network", "inspect", "one"]).exits(1).complains("network one not found");
}

#[test]
fn nsenter_with_net_is_where_the_bridges_are() {
    let engine = engine();
    engine.docker(&["network", "create", "-o", "com.docker.network.bridge.name=seen0", "seen"]).ok();
    // /proc/net is the reader's own; /sys shows the namespace it was mounted in.
    let inside = engine.lichen(&["nsenter", "--net", "cat", "/proc/net/dev"]).ok();
    assert!(inside.stdout.contains("docker0:") && inside.stdout.contains("seen0:"), "{inside}");
    let outside = engine.lichen(&["nsenter", "cat", "/proc/net/dev"]).ok();
    assert!(!outside.stdout.contains("seen0:"), "{outside}");
}
