//! `kill -9` of any of our processes: containers run on, nothing is lost.

use e2e::{Engine, kill_9, wait_until};

fn engine() -> Engine {
    let engine = Engine::start();
    engine.load("busybox");
    engine
}

const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done";

fn init_pid(engine: &Engine, name: &str) -> u32 {
    engine.docker(&["inspect", "-f", "{{.State.Pid}}", name]).ok().text().parse().expect("a PID")
}

/// The log counts without a gap.
fn assert_complete(engine: &Engine, name: &str) -> usize {
    let log = engine.docker(&["logs", name]).ok();
    let lines: Vec<u64> = log.stdout.lines().map(|l| l.parse().expect("a number")).collect();
    for (place, line) in lines.iter().enumerate() {
        assert_eq!(*line, place as u64 + 1, "a line was lost or doubled");
    }
    lines.len()
}

/// Our process whose arguments contain `what` and, when given, the container's ID.
fn ours(engine: &Engine, what: &str, id: &str) -> u32 {
    let all = engine.host().processes();
    let found = all.iter().find(|p| p.command.contains(what) && p.command.contains(id));
    found.unwrap_or_else(|| panic!("no process {what} {id} among {all:#?}")).pid
}

fn survives(kill: impl Fn(&mut Engine)) {
    let mut engine = engine();
    engine.docker(&["run", "-d", "--name", "c1", "busybox", "sh", "-c", COUNTER]).ok();
    let pid = init_pid(&engine, "c1");
    wait_until("it counts", || (assert_complete(&engine, "c1") > 5).then_some(()));
    kill(&mut engine);
    engine.wait_ready();
    wait_until("it is known to run", || {
        let seen = engine.docker(&["inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "c1"]);
        (seen.text() == format!("true {pid}")).then_some(())
    });
    let before = assert_complete(&engine, "c1");
    wait_until("it counts on", || (assert_complete(&engine, "c1") > before + 5).then_some(()));
    engine.docker(&["exec", "c1", "echo", "reachable"]).ok().prints("reachable");
    engine.docker(&["stop", "-t", "0", "c1"]).ok();
    engine.docker(&["inspect", "-f", "{{.State.ExitCode}}", "c1"]).ok().prints("137");
    assert_complete(&engine, "c1");
    engine.docker(&["rm", "c1"]).ok();
}

#[test]
fn a_container_survives_its_engine() {
    survives(|engine| {
        let pid = engine.pid();
        kill_9(pid);
        wait_until("another engine", || {
            (std::fs::read_to_string(engine.host().run().join("docker.pid")).ok()?.trim() != pid.to_string())
                .then_some(())
        });
    });
}

#[test]
fn a_container_survives_the_launcher() {
    survives(|engine| {
        engine.kill_launcher();
        engine.launch();
    });
}

#[test]
fn a_container_survives_its_shim() {
    survives(|engine| {
        let id = engine.docker(&["inspect", "-f", "{{.Id}}", "c1"]).ok().text()[..12].to_owned();
        kill_9(ours(engine, "shim", &id));
        std::thread::sleep(std::time::Duration::from_millis(100));
    });
}

#[test]
fn a_container_survives_the_holder() {
    survives(|engine| {
        kill_9(ours(engine, "holder", ""));
        std::thread::sleep(std::time::Duration::from_millis(300));
        engine.docker(&["run", "--rm", "busybox", "echo", "new ones start"]).ok().prints("new ones start");
    });
}

#[test]
fn an_exit_while_no_engine_was_there_is_recorded() {
    let mut engine = engine();
    engine
        .docker(&["run", "-d", "--name", "c1", "busybox", "sh", "-c", "sleep 1; echo last words; exit 9"])
        .ok();
    engine.kill_launcher();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    engine.launch();
    engine.docker(&["wait", "c1"]).ok().prints("9");
    engine.docker(&["logs", "c1"]).ok().prints("last words");
}

#[test]
fn an_exit_after_its_shim_was_killed_is_recorded() {
    let engine = engine();
    engine
        .docker(&["run", "-d", "--name", "c1", "busybox", "sh", "-c", "sleep 1; echo last words; exit 9"])
        .ok();
    let id = engine.docker(&["inspect", "-f", "{{.Id}}", "c1"]).ok().text()[..12].to_owned();
    kill_9(ours(&engine, "shim", &id));
    engine.docker(&["wait", "c1"]).ok().prints("9");
    engine.docker(&["logs", "c1"]).ok().prints("last words");
}

#[test]
fn a_published_port_survives_the_engine() {
    let engine = engine();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    engine
        .docker(&[
            "run",
            "-d",
            "-p",
            &format!("127.0.0.1:{port}:80"),
            "busybox",
            "sh",
            "-c",
            "while :; do echo served | nc -l -p 80; done",
        ])
        .ok();
    let answers = || {
        let mut text = String::new();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        std::io::Read::read_to_string(&mut stream, &mut text).ok()?;
        (text.trim() == "served").then_some(())
    };
    wait_until("the server answers", answers);
    let pid = engine.pid();
    kill_9(pid);
    wait_until("the server answers while the engine starts again", answers);
}

/// A container that is gone when it was stopped, and one that outlives whoever does not stop it.
fn run_two(engine: &Engine) -> [u32; 2] {
    ["c1", "c2"].map(|name| {
        let trap = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
        engine.docker(&["run", "-d", "--name", name, "busybox", "sh", "-c", trap]).ok();
        init_pid(engine, name)
    })
}

fn assert_stopped(mut engine: Engine, inits: [u32; 2]) {
    engine.wait_stopped();
    for pid in inits {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "container {pid} outlived the stop");
    }
    engine.launch();
    for name in ["c1", "c2"] {
        engine
            .docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name])
            .ok()
            .prints("exited 0");
    }
}

#[test]
fn a_stop_while_the_engine_is_dead_stops_the_containers() {
    let engine = engine();
    let inits = run_two(&engine);
    kill_9(engine.pid());
    engine.terminate();
    assert_stopped(engine, inits);
}

#[test]
fn a_stop_while_the_engine_starts_again_stops_the_containers() {
    let engine = engine();
    let inits = run_two(&engine);
    let pid = engine.pid();
    kill_9(pid);
    wait_until("the launcher has seen it", || {
        let log = std::fs::read_to_string(engine.log()).ok()?;
        log.contains("the engine died").then_some(())
    });
    engine.terminate();
    assert_stopped(engine, inits);
}

#[test]
fn an_engine_killed_while_it_stops_containers_has_a_successor_that_goes_on() {
    let engine = engine();
    let slow = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done";
    let inits = ["c1", "c2"].map(|name| {
        engine.docker(&["run", "-d", "--name", name, "busybox", "sh", "-c", slow]).ok();
        init_pid(&engine, name)
    });
    let mut stopping = engine.spawn("docker", &["events", "--filter", "event=kill"]);
    let mut seen = std::io::BufReader::new(stopping.stdout.take().expect("its output is piped"));
    let pid = engine.pid();
    engine.terminate();
    std::io::BufRead::read_line(&mut seen, &mut String::new()).expect("read an event");
    kill_9(pid);
    // Its stream has ended with the engine.
    stopping.wait().expect("wait for the client");
    assert_stopped(engine, inits);
}

#[test]
fn a_client_that_connects_while_no_engine_runs_is_answered_by_the_next() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tcp = format!("tcp://127.0.0.1:{port}");
    let host = e2e::Host::new();
    let unix = format!("unix://{}", host.socket().display());
    let engine = Engine::start_on(host, &["-H", &unix, "-H", &tcp], &[]);
    let ask = "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for round in 0..3 {
        let before = engine.pid();
        kill_9(before);
        std::thread::sleep(std::time::Duration::from_millis(1));
        let mut over_unix = std::os::unix::net::UnixStream::connect(engine.host().socket()).expect("connect");
        let mut over_tcp = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connect");
        let mut replies = [String::new(), String::new()];
        std::io::Write::write_all(&mut over_unix, ask.as_bytes()).expect("ask");
        std::io::Write::write_all(&mut over_tcp, ask.as_bytes()).expect("ask");
        std::io::Read::read_to_string(&mut over_unix, &mut replies[0]).expect("an answer");
        std::io::Read::read_to_string(&mut over_tcp, &mut replies[1]).expect("an answer");
        for reply in replies {
            assert!(reply.starts_with("HTTP/1.1 200"), "round {round}: {reply}");
        }
        assert_ne!(engine.pid(), before);
    }
}

#[test]
fn a_hundred_containers_leave_nothing_behind() {
    let engine = engine();
    let counts = || {
        let pid = engine.pid();
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap().lines().count();
        (descriptors, mounts, engine.host().processes().len())
    };
    let script = "for i in $(seq 10); do lichen run --rm busybox true; done";
    let run = || {
        let bin = e2e::program("lichen");
        engine.host().run_command("sh", &["-c", &script.replace("lichen", bin.to_str().unwrap())]).ok();
    };
    run();
    let before = counts();
    for _ in 0..9 {
        run();
    }
    let after = wait_until("everything is let go", || {
        let now = counts();
        (now.0 <= before.0 + 2 && now.1 <= before.1 && now.2 <= before.2).then_some(now)
    });
    eprintln!("descriptors, mounts, processes: {before:?} then {after:?}");
    assert_eq!(std::fs::read_dir(engine.host().data().join("containers")).map_or(0, Iterator::count), 0);
}

#[test]
fn processes_are_called_by_what_they_are() {
    let engine = engine();
    engine.docker(&["run", "-d", "--name", "c1", "-p", "127.0.0.1::80", "busybox", "sleep", "1000"]).ok();
    let called = |what: &str| {
        let pid = ours(&engine, what, "");
        std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap()
    };
    assert_eq!(called("lichen-shim holder "), "lichen-holder\n");
    assert_eq!(called("lichen-shim netd "), "lichen-netd\n");
    assert_eq!(called("lichen-shim shim "), "lichen-shim\n");
    assert_eq!(called("lichen engine"), "lichen\n");
    engine.docker(&["rm", "-f", "c1"]).ok();
}
