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
