//! Containers and a machine in another network namespace, on a network of the host's: whom containers take their clients for,
//! and which routers they see on their way.
//!
//! Servers and clients are this program, which is static and runs anywhere: [`serve`] is an ignored test.

use e2e::{Engine, Host, Output, kill_9, make_in_netns, wait_until};
use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

const HOST: [&str; 2] = ["198.51.100.1", "2001:db8::1"];
const CLIENT: [&str; 2] = ["198.51.100.7", "2001:db8::7"];
const UDP: u16 = 8053;
const TCP: u16 = 8080;

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("run ip");
    assert!(status.success(), "ip {arguments}: {status}");
}

/// A name for a network namespace that no other test has, in this process or another.
fn namespace(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("lichen-e2e-{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The client's network namespace.
struct Client(String);

impl Client {
    /// Gives the calling thread, and with it the engine that it starts, a network of its own to be the host's, with a client
    /// on it.
    fn new() -> Self {
        use nix::sched::{CloneFlags, unshare};
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let client = Self(namespace("clients"));
        let name = &client.0;
        ip("link set lo up");
        ip(&format!("netns add {name}"));
        ip(&format!("link add eth0 type veth peer name eth1 netns {name}"));
        ip("link set eth0 up");
        ip(&format!("-n {name} link set eth1 up"));
        for version in 0..2 {
            let (prefix, dad) = if version == 0 { (24, "") } else { (64, " nodad") };
            ip(&format!("addr add {}/{prefix} dev eth0{dad}", HOST[version]));
            ip(&format!("-n {name} addr add {}/{prefix} dev eth1{dad}", CLIENT[version]));
        }
        client
    }

    fn make<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        make_in_netns(&self.0, make)
    }

    /// A socket that takes answers from the published address only.
    fn datagrams(&self, version: usize) -> UdpSocket {
        let any: IpAddr = if version == 0 { [0; 4].into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = self.make(|| UdpSocket::bind(SocketAddr::new(any, 0)).expect("bind"));
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket.connect(to(version, UDP)).expect("connect");
        socket
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

/// A machine behind the client, which is a router then.
struct Far(String);

const FAR: [&str; 2] = ["203.0.113.9", "2001:db8:2::9"];

impl Far {
    fn new(client: &Client) -> Self {
        let far = Self(namespace("far"));
        let (name, router) = (&far.0, &client.0);
        ip(&format!("netns add {name}"));
        ip(&format!("-n {router} link add eth2 type veth peer name eth3 netns {name}"));
        ip(&format!("-n {router} link set eth2 up"));
        ip(&format!("-n {name} link set eth3 up"));
        for (version, (near, prefix, dad)) in
            [("203.0.113.1", 24, ""), ("2001:db8:2::1", 64, " nodad")].into_iter().enumerate()
        {
            ip(&format!("-n {router} addr add {near}/{prefix} dev eth2{dad}"));
            ip(&format!("-n {name} addr add {}/{prefix} dev eth3{dad}", FAR[version]));
            ip(&format!("-n {name} route add default via {near}"));
        }
        ip(&format!("route add 203.0.113.0/24 via {}", CLIENT[0]));
        ip(&format!("route add 2001:db8:2::/64 via {}", CLIENT[1]));
        client.make(|| {
            for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{key}"), "1").expect("forward");
            }
        });
        far
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

fn to(version: usize, port: u16) -> SocketAddr {
    SocketAddr::new(HOST[version].parse().unwrap(), port)
}

/// Has the server say whom it takes a datagram of this length for.
fn ask(what: &str, socket: &UdpSocket, version: usize, length: usize) {
    let (seen, datagram) = (CLIENT[version], vec![7; length]);
    let expected = format!("{seen} {length}");
    wait_until(what, || {
        // Refused while nobody listens.
        socket.send(&datagram).ok()?;
        let mut buffer = [0; 200];
        let got = socket.recv(&mut buffer).ok()?;
        let answer = String::from_utf8_lossy(&buffer[..got]).into_owned();
        // An answer to an earlier one may be late.
        assert!(answer.starts_with(&format!("{seen} ")), "{answer}");
        (answer == expected).then_some(())
    });
}

fn run_server(engine: &Engine, options: &[&str]) -> Output {
    let program = engine.host().path("server");
    std::fs::copy("/proc/self/exe", &program).expect("copy this program");
    for path in [program.clone(), engine.host().home()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .expect("let containers run it");
    }
    let mount = format!("{}:/server:ro", program.display());
    let command = ["busybox", "/server", "--exact", "serve", "--ignored", "--nocapture"];
    engine.docker(&[&["run", "-d", "--name", "served", "-v", &mount], options, &command].concat())
}

/// A server of UDP and TCP on port 53 that tells each client its address.
#[test]
#[ignore = "runs in a container"]
fn serve() {
    let listener = TcpListener::bind("[::]:53").expect("listen");
    thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            // A client that is gone does not want to know.
            write!(stream, "{}", peer.ip().to_canonical()).ok();
        }
    });
    let socket = UdpSocket::bind("[::]:53").expect("bind");
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).expect("receive");
        let answer = format!("{} {length}", peer.ip().to_canonical());
        socket.send_to(answer.as_bytes(), peer).expect("answer");
    }
}

#[test]
fn containers_see_the_addresses_of_clients_of_both_protocols_and_ip_versions() {
    let client = Client::new();
    let engine = Engine::start_on(Host::new(), &[], &[("DOCKERD_ROOTLESS_ROOTLESSKIT_NET", "lichen")]);
    engine.load("busybox");
    engine.docker(&["network", "create", "--ipv6", "dual"]).ok();
    let (udp, tcp) = (format!("{UDP}:53/udp"), format!("{TCP}:53"));
    run_server(&engine, &["--network", "dual", "-p", &udp, "-p", &tcp]).ok();
    for (version, seen) in CLIENT.into_iter().enumerate() {
        let socket = client.datagrams(version);
        ask("a datagram is answered", &socket, version, 1);
        // Cut on the way.
        ask("a large datagram is answered", &socket, version, 20_000);
        let heard = wait_until("a connection is answered", || {
            let mut stream = client.make(|| TcpStream::connect(to(version, TCP))).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Some(text)
        });
        assert_eq!(heard, seen);
    }
    // Clients go on as if nothing had happened.
    let sockets = [client.datagrams(0), client.datagrams(1)];
    for (version, socket) in sockets.iter().enumerate() {
        ask("a datagram is answered", socket, version, 1);
        let forwarder = engine.host().processes().into_iter().find(|p| p.command.contains(" netd "));
        kill_9(forwarder.expect("a forwarder").pid);
        ask("a datagram is answered by another forwarder", socket, version, 5);
    }
    engine.docker(&["rm", "-f", "served"]).ok();
}

/// By UDP, by echo requests, and by UDP over IPv6.
#[test]
fn traceroute_sees_the_routers_on_the_way() {
    let client = Client::new();
    let far = Far::new(&client);
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").expect("let everybody ping");
    let engine =
        Engine::start_on(Host::new(), &["--ipv6"], &[("DOCKERD_ROOTLESS_ROOTLESSKIT_NET", "lichen")]);
    engine.load("busybox");
    engine.docker(&["run", "-d", "--name", "lost", "busybox", "sleep", "1000"]).ok();
    let gateway = |field: &str| {
        let template = format!("{{{{.NetworkSettings.Networks.bridge.{field}}}}}");
        engine.docker(&["inspect", "-f", &template, "lost"]).ok().text().to_owned()
    };
    let gateways = [gateway("Gateway"), gateway("IPv6Gateway")];
    for (version, command) in
        [(0, "traceroute -n -q 1"), (0, "traceroute -n -q 1 -I"), (1, "traceroute6 -n -q 1")]
    {
        let hops =
            [&gateways[version], CLIENT[version], FAR[version]].map(|hop| hop.parse::<IpAddr>().unwrap());
        let mut seen = [false; 3];
        // Routers say so often and no more (icmp(7), `icmp_ratelimit`): what one run is not told, another is.
        for _ in 0..20 {
            let words = ["exec", "lost"].into_iter().chain(command.split(' '));
            let all: Vec<&str> = words.chain(["-m", "3", "-w", "2", FAR[version]]).collect();
            let run = engine.docker(&all);
            for line in run.stdout.lines() {
                let mut words = line.split_whitespace();
                let hop = words.next().and_then(|word| word.parse::<usize>().ok());
                let router = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                if let (Some(hop @ 1..=3), Some(router)) = (hop, router) {
                    seen[hop - 1] |= router == hops[hop - 1];
                }
            }
            if seen == [true; 3] {
                break;
            }
        }
        assert_eq!(seen, [true; 3], "{command}: which of {hops:?} answered");
    }
    engine.docker(&["rm", "-f", "lost"]).ok();
    drop((engine, far));
}
