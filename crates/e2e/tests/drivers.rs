//! The way out by other programs than Lichen's own (`--net`, `--port-driver`).

use e2e::{Engine, Host, kill_9, program, wait_until};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);
const NET: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_NET";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a server on this port of the host says before it closes.
fn fetch(at: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// Gives the calling thread, and with it all that the test starts, a network of its own to be the host's.
fn own_network() {
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("namespaces");
    run("mount", "--make-rprivate /");
    // A sysfs shows the interfaces of the network namespace that it was mounted in.
    run("mount", "-t sysfs sysfs /sys");
    ip("link set lo up");
}

fn ip(arguments: &str) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &str) {
    let status = Command::new(program).args(arguments.split(' ')).status().expect("run a program");
    assert!(status.success(), "{program} {arguments}: {status}");
}

/// A host with a program of the tests' on its PATH, under the name of one that is not installed.
fn host_with_peer(name: &str) -> (Host, String) {
    let host = Host::new();
    let there =
        host.write(&format!("bin/{name}"), std::fs::read(env!("CARGO_BIN_EXE_ethernet-peer")).unwrap());
    std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", there.parent().unwrap().display());
    (host, path)
}

/// Kills a process of the engine's by the name of its program, or by the verb that it runs.
fn kill(engine: &Engine, name: &str) {
    let is_meant = |command: &str| {
        let mut words = command.split(' ');
        words.next().is_some_and(|program| program.rsplit('/').next() == Some(name))
            || words.next() == Some(name)
    };
    let found = engine.host().processes().into_iter().find(|p| is_meant(&p.command));
    kill_9(found.unwrap_or_else(|| panic!("a process {name:?}")).pid);
}

/// A container gets replies and names through the program, keeps its published ports, and gets out again after either
/// process was killed.
fn leads_out(net: &str, name: &str, resolver: &str) {
    let (host, path) = host_with_peer(name);
    let engine = Engine::start_on(host, &["--net", net], &[("PATH", &path)]);
    engine.load("busybox");
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:80");
    let serve = "while :; do echo served | nc -l -p 80; done";
    engine.docker(&["run", "-d", "--name", "c1", "-p", &publish, "busybox", "sh", "-c", serve]).ok();
    let run = |script: &str| engine.docker(&["exec", "c1", "sh", "-c", script]);
    run("ping -c1 -W5 198.51.100.9").ok();
    let answer = run(&format!("nslookup -type=a example.test {resolver}")).ok();
    assert!(answer.stdout.contains("192.0.2.77"), "{answer}");
    run("nc -w 5 198.51.100.9 80").exits(1).complains("Connection refused");
    wait_until("the port answers", || fetch(([127, 0, 0, 1], port).into()).filter(|t| t == "served"));
    let shown = engine.docker(&["version", "--format", "{{json .Server.Components}}"]).ok();
    assert!(shown.stdout.contains(&format!("\"NetworkDriver\":\"{net}\"")), "{shown}");
    for part in [name, "uplink"] {
        kill(&engine, part);
        wait_until("echo requests are answered again", || {
            run("ping -c1 -W1 198.51.100.9").status.success().then_some(())
        });
    }
    engine.docker(&["rm", "-f", "c1"]).ok();
}

#[test]
fn vpnkit_leads_out() {
    leads_out("vpnkit", "vpnkit", "192.168.65.1");
}

#[test]
fn gvisor_tap_vsock_leads_out() {
    leads_out("gvisor-tap-vsock", "gvproxy", "192.168.127.1");
}

#[test]
fn an_uplink_survives_its_engine() {
    let (host, path) = host_with_peer("gvproxy");
    let mut engine = Engine::start_on(host, &["--net", "gvisor-tap-vsock"], &[("PATH", &path)]);
    engine.load("busybox");
    engine.docker(&["run", "-d", "--name", "c1", "busybox", "sleep", "1000"]).ok();
    let uplink = |engine: &Engine| {
        engine.host().processes().into_iter().find(|p| p.command.contains(" uplink ")).expect("an uplink").pid
    };
    let before = uplink(&engine);
    kill_9(engine.pid());
    engine.wait_ready();
    engine.docker(&["exec", "c1", "ping", "-c1", "-W5", "198.51.100.9"]).ok();
    assert_eq!(uplink(&engine), before);
    engine.docker(&["rm", "-f", "c1"]).ok();
}

#[test]
fn gvproxys_services_and_the_hosts_loopback_are_out_of_reach() {
    let (host, path) = host_with_peer("gvproxy");
    let engine = Engine::start_on(host, &["--net", "gvisor-tap-vsock"], &[("PATH", &path)]);
    engine.load("busybox");
    // The peer refuses every connection that gets to it. What is prohibited has no route, which the kernel tells an address
    // only while that has not been told too often (`ip_error()` of net/ipv4/route.c, and `icmpv4_xrlim_allow()` of
    // net/ipv4/icmp.c for all reasons together; icmp(7), `icmp_ratelimit`); whoever is not told waits until nc gives up.
    let script =
        "for to in '1 80' '254 80' '1 53'; do nc -w 2 192.168.127.$to; done; ping -c1 -W2 192.168.127.254";
    let tried = engine.docker(&["run", "--rm", "busybox", "sh", "-c", script]).exits(1);
    assert_eq!(tried.stderr.matches("refused").count(), 1, "{tried}");
    assert!(tried.stderr.contains("(192.168.127.1): Connection refused"), "{tried}");
    let out_of_reach = ["No route to host", "timed out"].map(|text| tried.stderr.matches(text).count());
    assert_eq!(out_of_reach.iter().sum::<usize>(), 2, "{tried}");
}

#[test]
fn a_peer_that_misbehaves_is_named_with_what_it_did() {
    let outage = |name: &str, net: &str, odd: &str, expect: &str| {
        let (host, path) = host_with_peer(name);
        let engine = Engine::start_on(host, &["--net", net], &[("PATH", &path), ("ETHERNET_PEER", odd)]);
        wait_until("docker info says what is wrong", || {
            let info = engine.docker(&["info", "--format", "{{json .Warnings}}"]).ok();
            info.stdout.contains(expect).then_some(())
        });
        engine
    };
    outage("vpnkit", "vpnkit", "old", "it speaks version 2 of the protocol");
    outage("vpnkit", "vpnkit", "refuse", "it refuses: no thanks");
    let engine = outage("gvproxy", "gvisor-tap-vsock", "runt", "sent what is no frame: a length of 3 bytes");
    // It is tried again after pauses that get longer.
    wait_until("nothing is left of it between two tries", || {
        let left = engine.lichen(&["nsenter", "--net", "sh", "-c", "ip rule; ip link"]).ok();
        assert!(left.stdout.contains("docker0"), "{left}");
        (!left.stdout.contains("192.168.127.") && !left.stdout.contains("tap0")).then_some(())
    });
    drop(engine);
    outage("gvproxy", "gvisor-tap-vsock", "silent", "no server gave an address within 15s");
}

#[test]
fn a_driver_that_is_not_there_is_named_with_its_packages() {
    let refused = |arguments: &[&str], path: &str| {
        let host = Host::new();
        let mut command = host.command(program("lichen"));
        let output = command.arg("daemon").args(arguments).env("PATH", path).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let path = "/usr/bin:/bin";
    let text = refused(&["--net", "vpnkit"], path);
    assert!(text.contains("vpnkit: vpnkit not found in $PATH: install docker-ce-rootless-extras"), "{text}");
    let text = refused(&["--net", "gvisor-tap-vsock"], path);
    assert!(
        text.contains("gvproxy not found in $PATH: install gvisor-tap-vsock (dnf, pacman, apk)"),
        "{text}"
    );
    let text = refused(&["--net", "slirp4netns", "--port-driver", "implicit"], path);
    assert!(text.contains("port driver implicit needs --net=pasta, not slirp4netns"), "{text}");
    let text = refused(&["--net", "socks"], path);
    assert!(
        text.contains("unknown network driver \"socks\": choose auto, lichen, slirp4netns, pasta, vpnkit"),
        "{text}"
    );
}

/// pasta's version where it can publish ports; what is missing where it cannot.
fn pasta_that_publishes() -> Result<(), String> {
    let output = Command::new("pasta").arg("--version").output().map_err(|e| format!("pasta: {e}"))?;
    let line = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    let digits = line.replace('_', "");
    match digits.split(|c: char| !c.is_ascii_digit()).find(|run| run.len() == 8) {
        Some(day) if day >= "20231204" => Ok(()),
        _ => Err(format!("pasta 2023_12_04 or later is not installed here, but {line:?}")),
    }
}

/// A bridge of the host's with a client on it, in a network of this test's own; returns the client's namespace.
fn client_network(test: &str) -> String {
    own_network();
    let client = format!("lichen-e2e-{test}-{}", std::process::id());
    ip(&format!("netns add {client}"));
    ip(&format!("link add eth0 type veth peer name eth1 netns {client}"));
    ip("addr add 198.51.100.1/24 dev eth0");
    ip("link set eth0 up");
    ip(&format!("-n {client} addr add 198.51.100.7/24 dev eth1"));
    ip(&format!("-n {client} link set eth1 up"));
    ip("route add default via 198.51.100.7");
    client
}

#[test]
fn pastas_own_ports_keep_the_clients_address() {
    if let Err(missing) = pasta_that_publishes() {
        eprintln!("skipped: {missing}");
        return;
    }
    let client = client_network("pasta");
    let variables = [(NET, "pasta"), ("DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER", "implicit")];
    let path = std::env::var("PATH").unwrap();
    let engine = Engine::start_on(Host::new(), &[], &[&variables[..], &[("PATH", &path)]].concat());
    engine.load("busybox");
    let serve = "while :; do nc -l -p 80 -e netstat -tn; done";
    engine.docker(&["run", "-d", "--name", "c1", "-p", "8080:80", "busybox", "sh", "-c", serve]).ok();
    // The container tells its client which connections it has.
    let ask = || {
        let script = "exec 3<>/dev/tcp/198.51.100.1/8080 && cat <&3";
        let output =
            Command::new("ip").args(["netns", "exec", &client, "bash", "-c", script]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("198.51.100.7:").then_some(())
    };
    wait_until("the port answers, and the container sees the client's address", ask);
    let clash = engine.docker(&["run", "--name", "d1", "-p", "8080:80", "busybox", "true"]);
    clash.exits(125).complains("port is already allocated");
    let _taken = TcpListener::bind("0.0.0.0:8081").unwrap();
    let taken = engine.docker(&["run", "--name", "e1", "-p", "8081:80", "busybox", "true"]);
    taken.exits(125).complains("address already in use");
    kill(&engine, "pasta");
    wait_until("the port answers again", ask);
    engine.docker(&["rm", "-f", "c1", "d1", "e1"]).ok();
    ip(&format!("netns del {client}"));
}

/// A DHCP server on a bridge, as Debian's lxc-net makes it, with room for interfaces of the tests' user.
struct Bridge(Child);

impl Bridge {
    /// In the calling thread's namespaces.
    fn new(name: &str, host: &Host) -> Self {
        ip(&format!("link add {name} type bridge"));
        ip(&format!("addr add 10.91.7.1/24 dev {name}"));
        ip(&format!("link set {name} up"));
        let usernet = host.write("lxc/lxc-usernet", format!("{} veth {name} 2\n", testing::TEST_USER));
        std::fs::create_dir_all("/etc/lxc").unwrap();
        run("mount", &format!("--bind {} /etc/lxc", usernet.parent().unwrap().display()));
        let dnsmasq = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--bind-interfaces"])
            .args(["--dhcp-range=10.91.7.20,10.91.7.90,2m", "--dhcp-no-override", "--dhcp-authoritative"])
            .args([format!("--interface={name}"), "--pid-file=".to_owned(), "--no-resolv".to_owned()])
            .arg(format!("--dhcp-leasefile={}", host.path("leases").display()))
            .spawn();
        Self(dnsmasq.expect("start dnsmasq"))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.0.kill().expect("end dnsmasq");
        self.0.wait().expect("reap dnsmasq");
    }
}

#[test]
fn lxc_user_nic_leads_out() {
    let there = ["/usr/libexec/lxc/lxc-user-nic", "/usr/lib/x86_64-linux-gnu/lxc/lxc-user-nic"];
    if !there.iter().any(|path| Path::new(path).exists()) || !Path::new("/usr/sbin/dnsmasq").exists() {
        eprintln!("skipped: lxc-user-nic or dnsmasq is not installed here (liblxc-common, dnsmasq-base)");
        return;
    }
    own_network();
    let host = Host::new();
    let name = format!("lx{}", std::process::id());
    let bridge = Bridge::new(&name, &host);
    let arguments = ["--net", "lxc-user-nic", "--lxc-user-nic-bridge", &name];
    let engine = Engine::start_on(host, &arguments, &[]);
    engine.load("busybox");
    let server = TcpListener::bind("10.91.7.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, peer)) = server.accept() {
            // A client that is gone does not want to know.
            writeln!(stream, "{}", peer.ip()).ok();
        }
    });
    engine.docker(&["run", "-d", "--name", "c1", "busybox", "sleep", "1000"]).ok();
    // A connection whose interface goes away is told nothing.
    let ask = || engine.docker(&["exec", "c1", "timeout", "5", "nc", "10.91.7.1", &port.to_string()]);
    let address = ask().ok().text().to_owned();
    assert!(address.starts_with("10.91.7."), "{address}");
    kill(&engine, "uplink");
    wait_until("it gets out again, with the same address", || (ask().text() == address).then_some(()));
    let info = engine.docker(&["info", "--format", "{{json .Warnings}}"]).ok();
    assert!(!info.stdout.contains("cannot reach the outside"), "{info}");
    engine.docker(&["rm", "-f", "c1"]).ok();
    drop((engine, bridge));
}

#[test]
fn a_port_below_1024_is_published_by_a_socket_of_the_service_managers() {
    let listener = privileged_listener();
    let at = listener.local_addr().unwrap();
    let engine = Engine::start_with_socket(listener.into());
    publishes(&engine, at);
    engine.docker(&["rm", "-f", "c1"]).ok();
}

/// A listener at a port of the host's that takes privilege, as only a test that is root can have.
fn privileged_listener() -> TcpListener {
    (600..1024).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).expect("a free port below 1024")
}

fn publishes(engine: &Engine, at: SocketAddr) {
    engine.load("busybox");
    let publish = format!("{at}:80");
    let serve = "while :; do echo served | nc -l -p 80; done";
    engine.docker(&["run", "-d", "--name", "c1", "-p", &publish, "busybox", "sh", "-c", serve]).ok();
    let answers = |what: &str| wait_until(what, || fetch(at).filter(|text| text == "served"));
    answers("the port answers");
    kill(engine, "netd");
    answers("the port answers again after the forwarder was killed");
}

/// Copies of the programs, which a test may do something to.
fn copied_programs(host: &Host) -> PathBuf {
    let directory = host.path("programs");
    for name in ["lichen", "lichen-shim"] {
        let copy = host.write(&format!("programs/{name}"), std::fs::read(program(name)).unwrap());
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(&copy, Some(0), Some(0)).unwrap();
    }
    directory
}

#[test]
fn a_port_below_1024_is_published_with_the_capability_on_the_program() {
    let host = Host::new();
    let programs = copied_programs(&host);
    let setcap = Command::new("setcap").arg("cap_net_bind_service=ep").arg(programs.join("lichen")).status();
    assert!(setcap.expect("setcap, of libcap2-bin").success());
    let mut engine = Engine::start_from(programs, host);
    let at = { privileged_listener().local_addr().unwrap() };
    publishes(&engine, at);
    kill_9(engine.pid());
    engine.wait_ready();
    kill(&engine, "netd");
    wait_until("another engine publishes it again", || fetch(at).filter(|text| text == "served"));
    let udp = format!("127.0.0.1:{}:53/udp", at.port());
    engine.docker(&["run", "-d", "--name", "u1", "-p", &udp, "busybox", "sleep", "1000"]).ok();
    engine.docker(&["rm", "-f", "c1", "u1"]).ok();
    assert!(TcpListener::bind(at).is_ok(), "the port is free again");
    let effective = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
        (field("CapEff:"), field("CapPrm:"))
    };
    let nothing = "0000000000000000".to_owned();
    assert_eq!(effective(engine.launcher_pid()), (nothing, "0000000000000400".to_owned()));
}

#[test]
fn a_port_below_1024_is_published_where_the_host_calls_it_unprivileged() {
    own_network();
    let engine = Engine::start();
    let at: SocketAddr = "127.0.0.1:80".parse().unwrap();
    engine.load("busybox");
    engine
        .docker(&["run", "--rm", "-p", "127.0.0.1:80:80", "busybox", "true"])
        .exits(126) // the docker command line takes every "permission denied" for a program that cannot run
        .complains(
            "cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf \
             (currently 1024), or set CAP_NET_BIND_SERVICE on the lichen binary, or choose a larger port number (>= 1024): \
             listen tcp4 127.0.0.1:80: bind: permission denied",
        );
    // The calling thread's namespace is this test's own.
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "80").unwrap();
    publishes(&engine, at);
    engine.docker(&["rm", "-f", "c1"]).ok();
}
