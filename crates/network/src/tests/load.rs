//! Many connections: short ones after each other, long ones at once, and more than there can be.

use super::{
    lead::{all_echo, at_port, attempts, connections, echo_server},
    *,
};
use std::{io::ErrorKind, net::Shutdown};

fn descriptors(host: &Host) -> usize {
    let pid = forwarder(host).process.pid;
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// What the forwarder has used of the processor, in clock ticks (proc_pid_stat(5), fields 14 and 15).
fn processor_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Connects, sends a byte and gets it back, and ends the connection: the side that ends it first keeps its port for a
/// minute.
fn exchange(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])?;
    stream.shutdown(Shutdown::Write)?;
    assert_eq!(stream.read(&mut [0])?, 0);
    Ok(())
}

fn exchange_from(from: &OwnedFd, to: SocketAddr) -> std::io::Result<()> {
    at(from, || exchange(to))
}

fn exchanges(from: &OwnedFd, to: SocketAddr, count: usize) {
    at(from, || {
        let run = || (0..count / 4).try_for_each(|_| exchange(to));
        thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            running.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        });
    });
}

#[test]
fn short_connections_leave_nothing_behind() {
    testing::in_userns("tests::load::short_connections_leave_nothing_behind", || {
        let host = Host::with(OutwardChoice::Lichen);
        let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        let outside = echo_server(&host.client, &at_port(CLIENT, 7000));
        echo_server(&sandbox.netns, "0.0.0.0:80");
        let published = SocketAddr::new(ip(HOST), 8080);
        exchanges(&sandbox.netns, outside, 100);
        exchanges(&host.client, published, 100);
        let before = descriptors(&host);
        exchanges(&sandbox.netns, outside, 2500);
        exchanges(&host.client, published, 2500);
        // Sockets that are kept ready come and go.
        eventually(|| {
            let now = descriptors(&host);
            (now < before + 64).then_some(()).ok_or_else(|| format!("{now} descriptors, {before} before"))
        });
    });
}

/// Ten times as many as the host has ports to spare for a minute (TIME_WAIT).
#[test]
fn one_destination_does_not_use_up_the_hosts_ports() {
    testing::in_userns("tests::load::one_destination_does_not_use_up_the_hosts_ports", || {
        // What the forwarder reads when it starts, in what is to be the host's namespace.
        crate::netns::set("ipv4/ip_local_port_range", "50000 50159").unwrap();
        let host = Host::with(OutwardChoice::Lichen);
        let (_, sandbox) = host.container(&["bridge"], &[]);
        let outside = echo_server(&host.client, &at_port(CLIENT, 7000));
        exchanges(&sandbox.netns, outside, 1600);
        // Others on the host still get theirs.
        let elsewhere = echo_server(&host.client, &at_port(CLIENT, 7001));
        (0..50).for_each(|_| exchange(elsewhere).unwrap());
    });
}

#[test]
fn two_thousand_connections_at_once() {
    testing::in_userns("tests::load::two_thousand_connections_at_once", || {
        let host = Host::with(OutwardChoice::Lichen);
        let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        let outside = echo_server(&host.client, &at_port(CLIENT, 7000));
        echo_server(&sandbox.netns, "0.0.0.0:80");
        let mut streams = connections(&sandbox.netns, outside, 1000);
        streams.extend(connections(&host.client, SocketAddr::new(ip(HOST), 8080), 1000));
        all_echo(&streams);
    });
}

/// A server that has room for that many, in a process of its own, which may have as many descriptors as this one.
struct EchoServer(std::process::Child);

impl EchoServer {
    fn start(namespace: &OwnedFd, address: &str) -> Self {
        let mut command = std::process::Command::new(program("echo").path);
        command.arg(address).stdout(std::process::Stdio::piped());
        let mut child = at(namespace, || command.spawn().unwrap());
        let mut said = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"ready\n");
        Self(child)
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The forwarder and its workers.
fn processes(host: &Host) -> Vec<u32> {
    let pid = forwarder(host).process.pid;
    [vec![pid], super::lead::workers(host)].concat()
}

/// Memory that a process has of its own, in KiB (proc_pid_status(5), `RssAnon`).
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn sum(processes: &[u32], of: impl Fn(u32) -> usize) -> usize {
    processes.iter().map(|pid| of(*pid)).sum()
}

/// Half of them outward, half to a published port. This process and the server each need a descriptor for every one: with
/// a limit below 11,000 there are as many as it allows.
#[test]
fn ten_thousand_connections_at_once() {
    testing::in_userns("tests::load::ten_thousand_connections_at_once", || {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
        let each = maximum.map_or(5000, |most| (most as usize).saturating_sub(1000) / 2).min(5000);
        let host = Host::with(OutwardChoice::Lichen);
        let (_, sandbox) = host.container(&["bridge"], &[port(Protocol::Tcp, 8080, 80)]);
        let _outside = EchoServer::start(&host.client, &at_port(CLIENT, 7000));
        let _inside = EchoServer::start(&sandbox.netns, "0.0.0.0:80");
        let open = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let before = processes(&host);
        let (before_memory, before_open) = (sum(&before, memory), sum(&before, open));
        let mut streams = connections(&sandbox.netns, at_port(CLIENT, 7000).parse().unwrap(), each);
        streams.extend(connections(&host.client, SocketAddr::new(ip(HOST), 8080), each));
        (0..2).for_each(|_| all_echo(&streams));
        let during = processes(&host);
        let memory = sum(&during, memory).saturating_sub(before_memory);
        let open_now = sum(&during, open);
        eprintln!(
            "{} connections: {memory} KiB more, {open_now} descriptors in {} processes",
            streams.len(),
            during.len()
        );
        assert!(open_now >= before_open + 2 * streams.len(), "two descriptors each: {open_now}");
        // What a flow is and what the tables for it take; a chunk for each would be 1.2 GB.
        assert!(memory < 4096 + 2 * streams.len(), "{memory} KiB");
        drop(streams);
        eventually_within(PATIENCE * 6, || {
            let now = sum(&processes(&host), open);
            (now < before_open + 600)
                .then_some(())
                .ok_or_else(|| format!("{now} descriptors, {before_open} before"))
        });
        exchange_from(&host.client, SocketAddr::new(ip(HOST), 8080)).unwrap();
    });
}

/// Whether a connection carries a byte there and back; if not, it ended at once.
fn carries(mut stream: &TcpStream) -> bool {
    let answer = stream.write_all(b"x").and_then(|()| stream.read(&mut [0]));
    let waited = matches!(&answer, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert!(!waited, "neither served nor refused");
    matches!(answer, Ok(1))
}

/// A forwarder and its workers, each of which may have 200 descriptors: who comes when all are in use is refused at once,
/// the others stay, nobody spins, and there is room again when some have gone.
#[test]
fn connections_beyond_all_descriptors_are_refused_and_the_others_live() {
    testing::in_userns(
        "tests::load::connections_beyond_all_descriptors_are_refused_and_the_others_live",
        || {
            let client = host_network();
            let (router, ()) = netns::create(|| Ok(())).unwrap();
            let run = short_directory();
            let layout = RunLayout::new(run.path());
            let mut config = config(&layout, &router, OutwardChoice::Lichen);
            let netd = std::mem::replace(&mut config.netd.path, "prlimit".into());
            config.netd.args = vec!["--nofile=200:200".into(), netd.into()];
            let networks = Networks::open(config, &Store::in_memory().unwrap()).unwrap();
            let sandbox = networks.start(request(&["bridge"], &[port(Protocol::Tcp, 8080, 80)])).unwrap();
            echo_server(&sandbox.netns, "0.0.0.0:80");
            let outside = echo_server(&client, &at_port(CLIENT, 7000));
            let published = SocketAddr::new(ip(HOST), 8080);
            // A reset may come before connect(2) has returned.
            let streams: Vec<TcpStream> =
                attempts(&client, published, 400).into_iter().filter_map(Result::ok).collect();
            let served: Vec<&TcpStream> = streams.iter().filter(|stream| carries(stream)).collect();
            assert!((150..400).contains(&served.len()), "{} of 400 were served", served.len());
            let refused = connect(&sandbox.netns, &outside.to_string()).map(|stream| carries(&stream));
            assert!(!matches!(refused, Ok(true)), "all descriptors are in use");
            assert!(!matches!(&refused, Err(e) if e.kind() == ErrorKind::TimedOut), "{refused:?}");
            assert!(served.iter().all(|stream| carries(stream)), "those who are there stay");
            let told = networks.troubles();
            assert!(
                told[0].contains(" failed, last ") && told[0].contains(": all 200 descriptors"),
                "{told:?}"
            );
            assert_eq!(crate::flows::list(&layout).unwrap().troubles.len(), 1);
            // Some who stay have also the descriptors with which connections are refused: those wait, and no flow does.
            let stay = || {
                let connected =
                    netd::client::Client::connect_within(&layout.netd_socket(), Duration::from_secs(1));
                connected.ok().and_then(|mut client| client.troubles().ok().map(|_| client))
            };
            let standing: Vec<_> = std::iter::from_fn(stay).take(200).collect();
            let waiting = attempts(&client, published, 80);
            let start = std::time::Instant::now();
            // Workers have the later ones.
            assert!(served.iter().take(12).all(|stream| carries(stream)));
            assert!(start.elapsed() < PATIENCE * 2, "{:?} for 12 exchanges", start.elapsed());
            drop((standing, waiting));
            let process: netd::state::State =
                crate::daemon::read_record(&layout.netd_state()).unwrap().unwrap();
            let before = processor_ticks(process.process.pid);
            thread::sleep(Duration::from_millis(500));
            let used = processor_ticks(process.process.pid) - before;
            assert!(used < 25, "{used} ticks in half a second of rest");
            let log = std::fs::read_to_string(layout.root().join("netd.log")).unwrap();
            let said = log.matches("all 200 descriptors are in use; raise the limit").count();
            assert!((1..=2).contains(&said), "once a minute: {log}");
            drop(served);
            drop(streams);
            eventually(|| exchange_from(&client, published).map_err(|e| e.to_string()));
            eventually(|| exchange_from(&sandbox.netns, outside).map_err(|e| e.to_string()));
            networks.shutdown().unwrap();
        },
    );
}

/// How many descriptors the forwarder may have from now on.
fn limit_descriptors(host: &Host, limit: u64) {
    let pid = rustix::process::Pid::from_raw(forwarder(host).process.pid as i32);
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = rustix::process::Rlimit { current: Some(limit), maximum };
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
}

#[test]
fn what_the_forwarder_has_no_descriptors_for_fails_as_a_whole() {
    testing::in_userns("tests::load::what_the_forwarder_has_no_descriptors_for_fails_as_a_whole", || {
        let host = Host::new();
        host.networks.create(user_network("named", |_| {})).unwrap();
        let (id, sandbox) = host.container(&["named"], &[]);
        let name = host.networks.sandbox(&id).unwrap().container_name;
        assert_eq!(host.networks.troubles(), Vec::<String>::new());
        // New ones get the lowest free numbers, and the limit is one of numbers (getrlimit(2), `RLIMIT_NOFILE`).
        let used = |number: &u64| {
            std::path::Path::new(&format!("/proc/{}/fd/{number}", forwarder(&host).process.pid)).exists()
        };
        let limit = (0..).find(|number| !used(number)).expect("numbers go on") + 4;
        limit_descriptors(&host, limit);
        for (network, ports) in [("named", 0), ("bridge", 2)] {
            let mut next = 8080;
            let failed = std::iter::repeat_with(|| {
                let ports: Vec<PortRequest> =
                    (0..ports).map(|_| (next, next += 1).0).map(|at| port(Protocol::Tcp, at, 80)).collect();
                let wanted = request(&[network], &ports);
                host.networks.start(wanted.clone()).map_err(|error| (wanted, error.to_string()))
            });
            let (wanted, error) = failed.take(100).find_map(Result::err).expect("no descriptors are left");
            assert!(error.to_lowercase().contains("too many open files"), "{error}");
            assert_eq!(host.networks.sandbox(&wanted.container), None);
            assert_eq!(host.networks.sandboxes.get(wanted.container.as_str()).unwrap(), None);
            for port in &wanted.ports {
                let crate::HostPorts::Range { first, .. } = port.host_ports else { panic!("{port:?}") };
                drop(TcpListener::bind(("0.0.0.0", first)).expect("what was bound before it is let go of"));
            }
        }
        // Whoever asks by TCP is refused rather than left waiting, and the engine is heard.
        let query = naming::question(&name, naming::A);
        let query = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
        let asked = std::iter::repeat_with(|| {
            let mut stream = connect(&sandbox.netns, "127.0.0.11:53")?;
            stream.write_all(&query)?;
            stream.read_exact(&mut [0; 2]).map(|()| stream)
        });
        // Those that are answered stay.
        let asked: Vec<std::io::Result<TcpStream>> = asked.take(50).collect();
        let refused = asked.into_iter().find_map(Result::err).expect("no descriptors are left").kind();
        assert!(!matches!(refused, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{refused:?}");
        let told = host.networks.troubles();
        assert!(told[0].contains("descriptors are in use; raise the limit"), "{told:?}");
        limit_descriptors(&host, limit + 1000);
        host.container(&["named"], &[port(Protocol::Tcp, 9080, 80)]);
    });
}
