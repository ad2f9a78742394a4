//! The engine dies at every step of create, start, exec, stop, network connect and disconnect, and rm: the next one tells
//! the truth and can go on.
//!
//! Debug builds abort at the point that `LICHEN_FAULT` names (`engine::fault`); the launcher starts another engine,
//! which inherits the variable, so the count is chosen to hit once.

use e2e::{Engine, wait_until};

fn engine(point: &str) -> Engine {
    let mut engine = Engine::start();
    engine.load("busybox");
    engine.stop();
    engine.set_environment(&[("LICHEN_FAULT", point)]);
    engine.launch();
    engine
}

/// Runs commands that may be cut short, then looks at what is left and cleans it up with ordinary commands.
fn check(point: &str, story: impl Fn(&Engine)) {
    check_and(point, story, |_| {});
}

/// As [`check`], with something more to look at in between.
fn check_and(point: &str, story: impl Fn(&Engine), look: impl Fn(&Engine)) {
    let mut engine = engine(point);
    story(&engine);
    // A point that every engine comes to (an exit that is still to be dealt with) kills one after another.
    let name = point.split(':').next().unwrap();
    wait_until("the engine dies", || {
        let log = std::fs::read_to_string(engine.log()).unwrap();
        log.contains(&format!("LICHEN_FAULT: dying at {name}")).then_some(())
    });
    // Away with the fault, so that what follows is an ordinary engine after a crash.
    engine.kill_launcher();
    engine.set_environment(&[]);
    engine.launch();
    settled(&engine, point);
    look(&engine);
    engine.docker(&["rm", "-f", "c1"]);
    engine.docker(&["volume", "rm", "v1"]);
    engine.docker(&["ps", "-aq"]).ok().prints("");
    engine
        .docker(&[
            "run",
            "--rm",
            "--name",
            "c1",
            "-v",
            "v1:/v",
            "-p",
            "127.0.0.1:0:80",
            "busybox",
            "echo",
            "again",
        ])
        .ok()
        .prints("again");
    engine.docker(&["volume", "rm", "v1"]).ok();
    let data = engine.host().data();
    wait_until("nothing of the container is left in the data root", || {
        let count = |dir: &str| std::fs::read_dir(data.join(dir)).map_or(0, Iterator::count);
        (count("containers") == 0).then_some(())
    });
    engine.docker(&["rmi", "busybox"]).ok();
}

/// What is said to run does run, and what is said to have ended has no process.
fn settled(engine: &Engine, point: &str) {
    let seen = engine.docker(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok();
    for line in seen.text().lines() {
        let (name, state) = line.split_once(' ').unwrap();
        let pid: u32 = engine.docker(&["inspect", "-f", "{{.State.Pid}}", name]).ok().text().parse().unwrap();
        let alive = pid != 0 && std::path::Path::new(&format!("/proc/{pid}")).exists();
        assert_eq!(
            state == "running",
            alive,
            "after {point}, {name} is said to be {state}, its process is {pid}"
        );
        if alive {
            engine.docker(&["exec", name, "echo", "reachable"]).ok().prints("reachable");
        }
    }
}

fn create_and_start(engine: &Engine) {
    // Whether the client fails depends on the point; what must hold afterwards does not.
    engine.docker(&[
        "run",
        "-d",
        "--name",
        "c1",
        "-v",
        "v1:/v",
        "-v",
        "/anonymous",
        "-p",
        "127.0.0.1:0:80",
        "busybox",
        "sleep",
        "1000",
    ]);
}

macro_rules! dying_at {
    ($($test:ident: $point:literal, $story:expr;)*) => {
        $(#[test] fn $test() { check($point, $story); })*
    };
}

dying_at! {
    create_record: "create.record", create_and_start;
    create_volumes: "create.volumes", create_and_start;
    create_tree: "create.tree", create_and_start;
    create_done: "create.done", create_and_start;
    start_pending: "start.pending", create_and_start;
    start_network: "start.network", create_and_start;
    start_shim: "start.shim", create_and_start;
    start_created: "start.created", create_and_start;
    start_started: "start.started", create_and_start;
    start_done: "start.done", create_and_start;
    exec_started: "exec.started", |engine: &Engine| {
        create_and_start(engine);
        engine.docker(&["exec", "c1", "true"]);
    };
    stop_signalled: "stop.signalled", |engine: &Engine| {
        create_and_start(engine);
        engine.docker(&["stop", "-t", "0", "c1"]);
    };
    exit_seen: "exit.seen", stop;
    exit_released: "exit.released", stop;
    exit_saved: "exit.saved", stop;
    rm_marked: "rm.marked", remove;
    rm_shim: "rm.shim", remove;
    rm_tree: "rm.tree", remove;
    rm_directory: "rm.directory", remove;
    rm_volumes: "rm.volumes", remove;
    rm_done: "rm.done", remove;
}

fn stop(engine: &Engine) {
    create_and_start(engine);
    engine.docker(&["kill", "c1"]);
}

fn remove(engine: &Engine) {
    create_and_start(engine);
    engine.docker(&["rm", "-f", "-v", "c1"]);
}

const JOIN: [&str; 4] = ["network", "connect", "joined", "c1"];
const LEAVE: [&str; 4] = ["network", "disconnect", "joined", "c1"];

/// The container is on the network `bridge` alone, and can join and leave the other.
fn can_join_and_leave(engine: &Engine) {
    let interfaces = || engine.docker(&["exec", "c1", "ls", "/sys/class/net"]).ok();
    let named = || {
        let name = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
        engine.docker(&["inspect", "-f", name, "c1"]).ok()
    };
    interfaces().prints("eth0\nlo");
    engine.docker(&["network", "inspect", "-f", "{{len .Containers}}", "joined"]).ok().prints("0");
    engine.docker(&JOIN).ok();
    interfaces().prints("eth0\neth1\nlo");
    named().prints("bridge joined");
    engine.docker(&JOIN).exits(1).complains("endpoint with name c1 already exists in network joined");
    engine.docker(&LEAVE).ok();
    interfaces().prints("eth0\nlo");
    named().prints("bridge");
    engine.docker(&["network", "rm", "joined"]).ok();
}

#[test]
fn connect_made() {
    let story = |engine: &Engine| {
        create_and_start(engine);
        engine.docker(&["network", "create", "joined"]).ok();
        engine.docker(&JOIN);
    };
    check_and("connect.made", story, can_join_and_leave);
}

#[test]
fn disconnect_made() {
    let story = |engine: &Engine| {
        create_and_start(engine);
        engine.docker(&["network", "create", "joined"]).ok();
        engine.docker(&JOIN).ok();
        engine.docker(&LEAVE);
    };
    check_and("disconnect.made", story, |engine| {
        // Whoever was not told that it was done says it again.
        engine.docker(&LEAVE).ok();
        can_join_and_leave(engine);
    });
}
