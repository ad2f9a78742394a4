//! What containers reach beyond their own networks, by Lichen's own way out.

use e2e::{Engine, Host, kill_9, wait_until};
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn engine(environment: &[(&str, &str)]) -> Engine {
    let environment = [&[("DOCKERD_ROOTLESS_ROOTLESSKIT_NET", "lichen")], environment].concat();
    let engine = Engine::start_on(Host::new(), &[], &environment);
    engine.load("busybox");
    engine
}

/// The host's address on its network, by asking which one it would use; nothing is sent.
fn host_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.200:9").expect("a host with a network");
    socket.local_addr().unwrap().ip()
}

/// Tells each client the address that it is seen by.
fn tell_peers(at: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            // A client that is gone does not want to know.
            writeln!(stream, "{}", peer.ip()).ok();
        }
    });
    address
}

fn in_container(engine: &Engine, script: &str) -> e2e::Output {
    engine.docker(&["run", "--rm", "busybox", "sh", "-c", script])
}

#[test]
fn a_container_reaches_the_hosts_network_as_the_host() {
    let engine = engine(&[]);
    let host = host_address();
    let server = tell_peers(SocketAddr::new(host, 0));
    in_container(&engine, &format!("nc -w 10 {host} {}", server.port())).ok().prints(&host.to_string());
    let udp = UdpSocket::bind(SocketAddr::new(host, 0)).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = udp.local_addr().unwrap().port();
    // TFTP (RFC 1350): a request for a file is answered with its first and last block.
    let answering = thread::spawn(move || {
        let mut buffer = [0; 600];
        let (_, peer) = udp.recv_from(&mut buffer).unwrap();
        udp.send_to(b"\0\x03\0\x01told by UDP", peer).unwrap();
        peer.ip()
    });
    in_container(&engine, &format!("tftp -g -r file -l /dev/stdout {host} {port}")).prints("told by UDP");
    assert_eq!(answering.join().unwrap(), host);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    in_container(&engine, &format!("nc -w 10 {host} {free}")).exits(1).complains("Connection refused");
}

#[test]
fn the_hosts_loopback_is_out_of_reach_unless_allowed() {
    let server = tell_peers("127.0.0.1:0".parse().unwrap());
    let ask = format!("nc -w 10 10.0.2.2 {}", server.port());
    in_container(&engine(&[]), &ask).exits(1);
    let allowed = engine(&[("DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK", "false")]);
    in_container(&allowed, &ask).ok().prints("127.0.0.1");
}

#[test]
fn a_killed_forwarder_is_back_with_the_way_out_and_the_ports() {
    let engine = engine(&[]);
    let host = host_address();
    let server = tell_peers(SocketAddr::new(host, 0));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = format!(
        "while :; do echo served | nc -l -p 80; done & while :; do nc -w 5 {host} {} || true; sleep 0.05; done",
        server.port()
    );
    let publish = format!("127.0.0.1:{port}:80");
    engine.docker(&["run", "-d", "--name", "busy", "-p", &publish, "busybox", "sh", "-c", &script]).ok();
    let lines = || engine.docker(&["logs", "busy"]).text().lines().count();
    wait_until("traffic flows out", || (lines() > 3).then_some(()));
    wait_until("the port answers", || fetch(port));
    let forwarder = engine.host().processes().into_iter().find(|p| p.command.contains(" netd "));
    kill_9(forwarder.expect("a forwarder").pid);
    let before = lines();
    wait_until("traffic flows out again", || (lines() > before + 3).then_some(()));
    wait_until("the port answers again", || fetch(port));
    engine.docker(&["rm", "-f", "busy"]).ok();
}

fn fetch(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    (text.trim() == "served").then_some(())
}
