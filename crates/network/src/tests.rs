//! The whole crate against a real kernel: each test is root of a user namespace, in a network namespace that plays the
//! host, with a second one as the router namespace and a third with a client on the host's network.

mod adoption;
mod bridges;
mod changes;
mod configuration;
mod datagrams;
mod faults;
mod lan;
mod lead;
mod load;
mod naming;
mod outward;
mod path;
mod port_drivers;
mod ports;
mod segments;
mod subnets;

use crate::{
    Config, EndpointRequest, HostPorts, Networks, NewNetwork, OutwardChoice, OutwardConfig, PortRequest,
    Program, Protocol, Sandbox, SandboxRequest,
    error::Result,
    netlink::{Netlink, link, route},
    netns,
};
use ipnet::IpNet;
use model::{Id, RunLayout};
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    thread::{self, JoinHandle},
    time::Duration,
};
use store::Store;

/// Long enough for anything that works.
const PATIENCE: Duration = Duration::from_secs(5);

/// The host's address on its network, and its client's there.
const HOST: &str = "198.51.100.1";
const CLIENT: &str = "198.51.100.7";
const HOST6: &str = "2001:db8::1";
const CLIENT6: &str = "2001:db8::7";

/// A host with a network, and an engine's networks on it.
struct Host {
    networks: Networks,
    store: Store,
    router: OwnedFd,
    client: OwnedFd,
    _run: tempfile::TempDir,
    run: RunLayout,
}

fn program(name: &str) -> Program {
    let tests = std::env::current_exe().expect("this program's path");
    let path = tests.ancestors().nth(2).expect("a target directory").join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: build it with `cargo build -p network --examples`",
        path.display()
    );
    Program { path, args: Vec::new() }
}

fn config(run: &RunLayout, router: &OwnedFd, outward: OutwardChoice) -> Config {
    Config {
        run: run.clone(),
        router: PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), router.as_raw_fd())),
        bridge: Default::default(),
        address_pools: Vec::new(),
        outward: OutwardConfig { driver: outward, ..Default::default() },
        netd: program("netd"),
        uplink: program("uplink"),
        inherited: Vec::new(),
        launcher: None,
    }
}

impl Host {
    fn new() -> Self {
        Self::with(OutwardChoice::None)
    }

    fn with(outward: OutwardChoice) -> Self {
        Self::configured(outward, |_| {})
    }

    fn configured(outward: OutwardChoice, change: impl FnOnce(&mut OutwardConfig)) -> Self {
        Self::on(Store::in_memory().unwrap(), outward, change)
    }

    fn on(store: Store, outward: OutwardChoice, change: impl FnOnce(&mut OutwardConfig)) -> Self {
        let client = host_network();
        let (router, ()) = netns::create(|| Ok(())).unwrap();
        let run_dir = short_directory();
        let run = RunLayout::new(run_dir.path());
        let mut config = config(&run, &router, outward);
        change(&mut config.outward);
        let networks = Networks::open(config, &store).unwrap();
        networks.settle().unwrap();
        Self { networks, store, router, client, _run: run_dir, run }
    }

    /// The engine dies and another one takes over.
    fn restart(self) -> Self {
        self.restart_with(OutwardChoice::None)
    }

    fn restart_with(mut self, outward: OutwardChoice) -> Self {
        // The dead do not start programs again.
        self.networks.forwarder.let_go();
        self.networks = Networks::open(config(&self.run, &self.router, outward), &self.store).unwrap();
        self
    }

    fn container(&self, networks: &[&str], ports: &[PortRequest]) -> (Id, Sandbox) {
        let request = request(networks, ports);
        (request.container.clone(), self.networks.start(request).unwrap())
    }
}

/// The path of a unix socket has 108 bytes (unix(7)).
fn short_directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("n").tempdir_in("/tmp").unwrap()
}

impl Host {
    /// From now on no policies of those that connect by the host, of which there is one, can be written.
    fn close_policies(&self) -> PathBuf {
        let mut bypassing = request(&["bridge"], &[]);
        bypassing.bypass = Some(Vec::new());
        self.networks.start(bypassing).unwrap();
        let policies = self.run.bypasses();
        std::fs::remove_dir_all(&policies).unwrap();
        std::fs::write(&policies, "").unwrap();
        policies
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The forwarder would outlive the test.
        self.networks.shutdown().unwrap();
    }
}

fn request(networks: &[&str], ports: &[PortRequest]) -> SandboxRequest {
    let container = Id::random();
    let endpoint = |name: &&str| EndpointRequest { network: name.to_string(), ..Default::default() };
    SandboxRequest {
        container_name: format!("c-{}", container.short()),
        hostname: container.short().to_owned(),
        container,
        endpoints: networks.iter().map(endpoint).collect(),
        ports: ports.to_vec(),
        dns_servers: Vec::new(),
        ndots_chosen: false,
        bypass: None,
    }
}

fn port(protocol: Protocol, host: u16, container: u16) -> PortRequest {
    PortRequest {
        protocol,
        container_port: container,
        host_ip: None,
        host_ports: HostPorts::Range { first: host, last: host },
    }
}

fn user_network(name: &str, change: impl FnOnce(&mut NewNetwork)) -> NewNetwork {
    let mut network = NewNetwork { name: name.into(), ..Default::default() };
    change(&mut network);
    network
}

/// Makes this thread's network namespace the host's, and another with a client on the same network.
fn host_network() -> OwnedFd {
    let (client, mut there) = netns::create(Netlink::route_here).unwrap();
    let mut here = Netlink::route_here().unwrap();
    let bridge = link::Bridge { name: "lan", mac: Some(crate::MacAddr::random()), mtu: 1500 };
    here.changes(&[link::set_up("lo"), link::add_bridge(&bridge)]).unwrap();
    let lan = here.link("lan").unwrap().index;
    let veth = link::Veth {
        name: "lan1",
        bridge: lan,
        mtu: 1500,
        peer: "eth0",
        peer_mac: crate::MacAddr::random(),
        peer_namespace: client.as_fd(),
    };
    here.changes(&[
        link::add_veth(&veth),
        route::add_address(lan, net(HOST, 24)),
        route::add_address(lan, net(HOST6, 64)),
        route::add_route(
            route::MAIN,
            net("0.0.0.0", 0),
            &route::Via::Gateway { address: ip(CLIENT), interface: lan },
        ),
    ])
    .unwrap();
    let eth0 = there.link("eth0").unwrap().index;
    there
        .changes(&[
            link::set_up("lo"),
            link::set_up("eth0"),
            route::add_address(eth0, net(CLIENT, 24)),
            route::add_address(eth0, net(CLIENT6, 64)),
        ])
        .unwrap();
    client
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(address: &str, prefix: u8) -> IpNet {
    IpNet::new(ip(address), prefix).unwrap()
}

/// Runs `work` inside a namespace.
fn at<T: Send>(namespace: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    netns::inside(namespace.as_fd(), || Ok(work())).unwrap()
}

/// A server in a namespace that takes connections one after another and hands each to `serve` with its peer.
fn tcp_server(
    namespace: &OwnedFd,
    at_address: &str,
    serve: impl Fn(TcpStream, SocketAddr) + Send + 'static,
) -> SocketAddr {
    let listener = at(namespace, || TcpListener::bind(at_address).unwrap());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((stream, peer)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            serve(stream, peer);
        }
    });
    address
}

/// Tells each client its address as the server sees it.
fn tell_peer(mut stream: TcpStream, peer: SocketAddr) {
    write!(stream, "{}", peer.ip().to_canonical()).unwrap();
}

fn connect(from: &OwnedFd, to: &str) -> std::io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    let stream = at(from, || TcpStream::connect_timeout(&to, PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    Ok(stream)
}

/// What a server says to a client that connects and says nothing.
fn hear(from: &OwnedFd, to: &str) -> std::io::Result<String> {
    let mut text = String::new();
    connect(from, to)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The namespace of the thread that runs the test: the host's.
fn here() -> OwnedFd {
    netns::open("/proc/thread-self/ns/net".as_ref()).unwrap()
}

/// A UDP server that answers each datagram with its sender's address and the datagram.
fn udp_server(namespace: &OwnedFd, at_address: &str) -> JoinHandle<()> {
    let socket = at(namespace, || UdpSocket::bind(at_address).unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let mut answer = format!("{} ", peer.ip().to_canonical()).into_bytes();
            answer.extend(&buffer[..length]);
            socket.send_to(&answer, peer).unwrap();
        }
    })
}

fn ask_udp(from: &OwnedFd, bind: &str, to: &str, datagram: &str) -> std::io::Result<String> {
    let socket = at(from, || UdpSocket::bind(bind))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // Connected: an answer from another address than the one asked is not received.
    socket.connect(to)?;
    socket.send(datagram.as_bytes())?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn forwarder(host: &Host) -> netd::state::State {
    crate::daemon::read_record(&host.run.netd_state()).unwrap().unwrap()
}

/// Kills the forwarder and says which process it was.
fn kill_forwarder(host: &Host) -> model::ProcessRef {
    let process = forwarder(host).process;
    let pid = rustix::process::Pid::from_raw(process.pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    process
}

/// Tries until it works or patience ends.
fn eventually<T>(work: impl FnMut() -> Result<T, String>) -> T {
    eventually_within(PATIENCE * 2, work)
}

fn eventually_within<T>(patience: Duration, mut work: impl FnMut() -> Result<T, String>) -> T {
    let end = std::time::Instant::now() + patience;
    loop {
        match work() {
            Ok(done) => return done,
            Err(error) if std::time::Instant::now() > end => panic!("{error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
