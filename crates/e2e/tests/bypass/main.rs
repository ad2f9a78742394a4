//! Containers whose connections to the world are made by sockets of the host's (annotation `nerdctl/bypass4netns`).
//!
//! What they do inside is in [`probe`]. A socket of the host's is known by its own address, which no container has.

mod agent;
mod away;
mod probe;

use away::Away;
use e2e::{Engine, Host, Output, kill_9, wait_until};
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const BYPASS: &str = "nerdctl/bypass4netns=true";

fn engine(arguments: &[&str]) -> Engine {
    let environment = [("DOCKERD_ROOTLESS_ROOTLESSKIT_NET", "lichen")];
    let engine = Engine::start_on(Host::new(), arguments, &environment);
    engine.load("busybox");
    let program = engine.host().path("probe");
    std::fs::copy("/proc/self/exe", &program).expect("copy this program");
    let readable = std::fs::Permissions::from_mode(0o755);
    for path in [program, engine.host().home()] {
        std::fs::set_permissions(path, readable.clone()).expect("let containers' users run the probe");
    }
    engine
}

/// Where containers find this program.
fn mount(engine: &Engine) -> String {
    format!("{}:/probe:ro", engine.host().path("probe").display())
}

/// The command that runs a test of [`probe`].
fn command(name: &str) -> [String; 5] {
    ["/probe", "--exact", &format!("probe::{name}"), "--ignored", "--nocapture"].map(str::to_owned)
}

/// What a probe has found.
fn findings(output: &Output) -> String {
    let found = |line: &str| line.strip_prefix("probe:").map(str::to_owned);
    output.stdout.lines().filter_map(found).collect::<Vec<_>>().join("\n")
}

/// `docker run` of a probe with further options.
fn probe(engine: &Engine, options: &[&str], name: &str) -> Output {
    let (mount, command) = (mount(engine), command(name));
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    engine.docker(&[&["run", "--rm", "-v", &mount], options, &["busybox"], &command].concat())
}

/// Connects by `docker exec`.
fn exec(engine: &Engine, container: &str) -> Output {
    let command = command("connect");
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    engine.docker(&[&["exec", container], &command[..]].concat())
}

/// Tells each client the address that it is seen by, and counts them.
fn serve(listener: TcpListener) -> (SocketAddr, Arc<AtomicUsize>) {
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            counted.fetch_add(1, Ordering::Relaxed);
            // A client that is gone does not want to know.
            writeln!(stream, "{}", peer.ip()).ok();
        }
    });
    (address, count)
}

/// On an address of the machine away.
fn listen(away: &Away) -> TcpListener {
    away.make(|| TcpListener::bind(SocketAddr::new(away.address, 0)).expect("listen away"))
}

fn free_port(at: IpAddr) -> u16 {
    TcpListener::bind(SocketAddr::new(at, 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_container_connects_by_a_socket_of_the_hosts_as_by_one_of_its_own() {
    let engine = engine(&[]);
    let away = Away::new();
    let (host, (server, _)) = (away.host, serve(listen(&away)));
    let refused = format!("REFUSED={}", listen(&away).local_addr().unwrap());
    let server = format!("SERVER={server}");
    let ordinary = probe(&engine, &["-e", &server], "connect").ok();
    assert!(findings(&ordinary).starts_with("172.17."), "without the annotation: {ordinary}");
    // Whatever else confines it, or does not.
    for options in [
        &[][..],
        &["--privileged"],
        &["--security-opt", "seccomp=unconfined"],
        &["--security-opt", "no-new-privileges", "--user", "1000", "--cap-drop", "ALL"],
    ] {
        let options = [&["--annotation", BYPASS, "-e", &server], options].concat();
        let run = probe(&engine, &options, "connect").ok();
        assert_eq!(findings(&run), format!("{host} {host}"), "{run}");
    }
    let options = ["--annotation", BYPASS, "-e", &server, "-e", &refused];
    let run = probe(&engine, &options, "without_waiting").ok();
    let (refused, already) = (111, 106);
    let expected = format!(
        "blocking: {refused}\nthen Ok(()), by the host\nagain {already}\nthen {refused}\nelsewhere Ok(()), by the host"
    );
    assert_eq!(findings(&run), expected, "{run}");
    let run = probe(&engine, &options, "what_is_kept").ok();
    let expected = "by the host, (true, 77), true true\nwatched before, by the container\n\
                    bound before, by the container\nown paths true";
    assert_eq!(findings(&run), expected, "{run}");
}

#[test]
fn an_exec_connects_as_its_container_does_whoever_is_killed() {
    let engine = engine(&[]);
    let away = Away::new();
    let (host, (server, _)) = (away.host, serve(listen(&away)));
    let (server, by_host) = (format!("SERVER={server}"), format!("{host} {host}"));
    let (mount, command) = (mount(&engine), command("repeat"));
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let run = ["run", "-d", "--name", "busy", "--annotation", BYPASS, "-e", &server, "-v", &mount, "busybox"];
    engine.docker(&[&run[..], &command].concat()).ok();
    assert_eq!(findings(&exec(&engine, "busy").ok()), by_host);
    let log = || findings(&engine.docker(&["logs", "busy"]).ok());
    let goes_on = |after: &str| {
        let count = || log().lines().filter(|line| *line == by_host).count();
        let before = count();
        wait_until(after, || (count() > before + 3).then_some(()));
    };
    goes_on("connections go out");
    let find = |words: &str| {
        wait_until(words, || {
            engine.host().processes().into_iter().find(|p| p.command.contains(words)).map(|p| p.pid)
        })
    };
    kill_9(find("lichen-shim bypass"));
    goes_on("connections go out after the supervisor was killed");
    kill_9(find("lichen-shim shim"));
    goes_on("connections go out after the shim was killed");
    for process in [find("lichen-shim shim"), find("lichen-shim bypass")] {
        kill_9(process);
    }
    goes_on("connections go out after both were killed");
    assert_eq!(findings(&exec(&engine, "busy").ok()), by_host);
    // A call that was taken and not answered goes its ordinary way.
    let ordinary = |line: &str| line.starts_with("172.17.");
    assert!(log().lines().all(|line| line == by_host || ordinary(line)), "{}", log());
}

#[test]
fn no_race_leads_to_the_hosts_loopback() {
    let engine = engine(&[]);
    let away = Away::new();
    let (server, reached) = serve(listen(&away));
    let (forbidden, intruders) = serve(TcpListener::bind("127.0.0.1:0").unwrap());
    let (server, forbidden) = (format!("SERVER={server}"), format!("FORBIDDEN={forbidden}"));
    let run = probe(
        &engine,
        &["--annotation", BYPASS, "--security-opt", "seccomp=unconfined", "-e", &server, "-e", &forbidden],
        "race",
    );
    let run = run.ok();
    let found = findings(&run);
    assert!(found.starts_with("true true\n") && found.ends_with("raced"), "the race was one: {run}");
    assert!(reached.load(Ordering::Relaxed) >= 50, "{reached:?}");
    assert_eq!(intruders.load(Ordering::Relaxed), 0, "connections to the host's loopback");
}

#[test]
fn networks_decide_who_connects_by_the_host() {
    let engine = engine(&["--bypass4netns"]);
    let away = Away::new();
    let (host, (server, _)) = (away.host, serve(listen(&away)));
    let (server, by_host) = (format!("SERVER={server}"), format!("{host} {host}"));
    let with = |options: &[&str]| probe(&engine, &[&["-e", &server], options].concat(), "connect");
    assert_eq!(findings(&with(&[]).ok()), by_host);
    let excepted = format!("nerdctl/bypass4netns-ignore-subnets=[\"{}/32\"]", away.address);
    for annotation in ["nerdctl/bypass4netns=false", &excepted] {
        let run = with(&["--annotation", annotation]).ok();
        assert!(findings(&run).starts_with("172.17."), "{run}");
    }
    engine.docker(&["network", "create", "--internal", "inner"]).ok();
    for network in ["inner", "none"] {
        let run = with(&["--network", network]);
        assert!(!run.status.success(), "on {network}: {run}");
    }
    // As its networks are at the moment.
    let mount = mount(&engine);
    let run = ["run", "-d", "--name", "moved", "-e", &server, "-v", &mount, "busybox", "sleep", "1000"];
    engine.docker(&run).ok();
    let by_host = |when: &str| assert_eq!(findings(&exec(&engine, "moved").ok()), by_host, "{when}");
    by_host("on the default bridge");
    engine.docker(&["network", "connect", "inner", "moved"]).ok();
    by_host("on an internal network as well");
    engine.docker(&["network", "disconnect", "bridge", "moved"]).ok();
    let run = exec(&engine, "moved");
    assert!(!run.status.success(), "on an internal network only: {run}");
    engine.docker(&["network", "connect", "bridge", "moved"]).ok();
    by_host("on the default bridge again");
    engine
        .docker(&["run", "--rm", "--annotation", "nerdctl/bypass4netns=maybe", "busybox", "true"])
        .exits(125)
        .complains("invalid annotation nerdctl/bypass4netns=maybe: expected true or false");
}

#[test]
fn by_ipv6_and_in_another_containers_network_it_is_the_same() {
    let engine = engine(&["--bypass4netns"]);
    let away = Away::new();
    let listener = away.make(|| TcpListener::bind(SocketAddr::new(away.address6, 0)).expect("listen away"));
    let server = format!("SERVER={}", serve(listener).0);
    let by_host = format!("{0} {0}", away.host6);
    engine.docker(&["network", "create", "--ipv6", "dual"]).ok();
    let with = |options: &[&str]| probe(&engine, &[&["-e", &server], options].concat(), "connect");
    assert_eq!(findings(&with(&["--network", "dual"]).ok()), by_host);
    let run = with(&[]);
    assert!(!run.status.success(), "no way out by IPv6: {run}");
    let shared = |name: &str, options: &[&str]| {
        let run = ["run", "-d", "--name", name, "--network", "dual"];
        engine.docker(&[&run[..], options, &["busybox", "sleep", "1000"]].concat()).ok();
        findings(&with(&["--network", &format!("container:{name}")]).ok())
    };
    assert_eq!(shared("open", &[]), by_host);
    // What holds for the network's owner holds for whoever shares it.
    let own = shared("shut", &["--annotation", "nerdctl/bypass4netns=false"]);
    assert!(own.ends_with(&format!(" {}", away.host6)) && own != by_host, "by the forwarder: {own}");
    engine.docker(&["rm", "-f", "open", "shut"]).ok();
}

/// A profile of the user's, whose listener goes to an agent of the user's. A process has one listener.
#[test]
fn a_users_own_agent_gets_the_listener_and_excludes_the_bypass() {
    let engine = engine(&[]);
    let agent = agent::Agent::new(engine.host());
    let profile = format!("seccomp={}", agent.profile.display());
    let run = ["run", "-d", "--name", "asked", "--security-opt", &profile, "busybox", "sleep", "1000"];
    engine.docker(&run).ok();
    let state = agent.next();
    assert_eq!((&state["metadata"], &state["fds"]), (&"mine".into(), &serde_json::json!(["seccompFd"])));
    assert_eq!(state["state"]["status"], "creating");
    // With nobody to ask any more, there is no such system call (seccomp_unotify(2)).
    let made = engine.docker(&["exec", "asked", "mkdir", "/made"]);
    assert_eq!(agent.next()["state"]["status"], "running", "{made}");
    made.exits(1).complains("Function not implemented");
    let both = [&["run", "--rm", "--annotation", BYPASS, "--security-opt", &profile, "busybox", "true"][..]];
    engine.docker(&both.concat()).exits(125).complains("a process has one listener");
    engine.docker(&["rm", "-f", "asked"]).ok();
    // A program that wants a listener inside: the one there is is the supervisor's (EBUSY).
    assert_eq!(findings(&probe(&engine, &[], "own_listener").ok()), "a listener");
    assert_eq!(findings(&probe(&engine, &["--annotation", BYPASS], "own_listener").ok()), "16");
}

#[test]
fn containers_that_connect_by_the_host_are_reached_as_others_are() {
    let engine = engine(&["--bypass4netns"]);
    let port = free_port("127.0.0.1".parse().unwrap());
    let publish = format!("127.0.0.1:{port}:80");
    let script = "while :; do echo served | nc -l -p 80; done";
    engine.docker(&["network", "create", "front"]).ok();
    let run =
        ["run", "-d", "--name", "web", "--network", "front", "-p", &publish, "busybox", "sh", "-c", script];
    engine.docker(&run).ok();
    wait_until("the published port answers", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        (text.trim() == "served").then_some(())
    });
    let ask = "until nc -w 10 web 80 | grep served; do sleep 0.1; done";
    engine.docker(&["run", "--rm", "--network", "front", "busybox", "sh", "-c", ask]).ok().prints("served");
}
