//! Bad input: one clear line, the right status, nothing left behind.

use e2e::{Engine, Host, wait_until};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn root_may_not_run_the_engine() {
    let output = std::process::Command::new(e2e::program("lichen")).arg("daemon").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("root"), "{text}");
}

#[test]
fn a_missing_runtime_directory_is_named_with_its_fix() {
    let host = Host::new();
    let mut command = host.command(e2e::program("lichen"));
    let output = command.arg("daemon").env_remove("XDG_RUNTIME_DIR").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("could not get XDG_RUNTIME_DIR"), "{text}");
}

#[test]
fn a_bad_daemon_json_is_named() {
    for (json, expect) in [
        ("{", "daemon.json"),
        (r#"{"no-such-key": 1}"#, "no-such-key"),
        (r#"{"debug": "yes"}"#, "debug"),
        (r#"{"storage-driver": "nope"}"#, "nope"),
        ("{\"debug\": true\n \"mtu\": 9}", "daemon.json: expected `,` or `}` at line 2 column 2"),
        (r#"{"mtu": 20}"#, "daemon.json: mtu: 20: expected 68 to 65535"),
        (r#"{"bip": "here"}"#, "invalid bip \"here\": expected one such as 192.168.5.1/24"),
        (
            r#"{"lichen-net": "vde"}"#,
            "daemon.json: lichen-net: vde: unknown network driver \"vde\": choose auto",
        ),
    ] {
        let host = Host::new();
        host.write(".config/docker/daemon.json", json);
        let output = host.run_command(e2e::program("lichen"), &["daemon"]);
        assert!(!output.status.success() && output.stderr.contains(expect), "{json}: {output}");
        assert!(!host.socket().exists(), "{json}: the socket was left behind");
    }
}

#[test]
fn an_engine_that_cannot_start_leaves_nothing() {
    let host = Host::new();
    let file = host.write("file", "").display().to_string();
    for (options, expected) in [
        (["--pidfile", "/nonexistent/pid"], "cannot write the PID file /nonexistent/pid: "),
        (["-H", "unix:///nonexistent/d.sock"], "cannot create unix socket /nonexistent/d.sock: "),
        (
            ["--data-root", file.as_str()],
            "choose another with --data-root, or with \"data-root\" in daemon.json",
        ),
        // What the engine alone finds out.
        (["--bip=10.77.3.1/24", "--fixed-cidr=10.78.0.0/24"], "is not within the bridge's subnet"),
    ] {
        let output = host.run_command(e2e::program("lichen"), &["daemon", options[0], options[1]]);
        output.exits(1).complains(expected);
        wait_until("its processes have ended", || host.processes().is_empty().then_some(()));
        assert!(!host.socket().exists(), "{options:?}: the socket was left behind");
        assert!(!host.run().join("docker.pid").exists(), "{options:?}: the PID file was left behind");
    }
    let check = ["daemon", "--validate", "--storage-driver", "nope"];
    let output = host.run_command(e2e::program("lichen"), &check).exits(1);
    output.complains("storage driver nope: there is no such driver");
}

#[test]
fn an_engine_with_other_directories_leaves_the_first_its_socket_and_pid_file() {
    let engine = Engine::start();
    let (run, data) = (engine.host().run().join("other"), engine.host().path("other"));
    let other = ["daemon", "--exec-root", run.to_str().unwrap(), "--data-root", data.to_str().unwrap()];
    let pid = engine.pid();
    let running = format!("process with PID {pid} is still running");
    engine.lichen(&other).exits(1).complains(&running);
    let pidfile = run.with_extension("pid");
    let other = [&other[..], &["--pidfile", pidfile.to_str().unwrap()]].concat();
    engine.lichen(&other).exits(1).complains("another engine answers there");
    assert_eq!(engine.pid(), pid);
    engine.docker(&["version"]).ok();
}

#[test]
fn no_other_engine_starts_before_the_last_has_taken_everything_down() {
    let mut engine = Engine::start();
    let lock = std::fs::File::open(engine.host().run().join("lichen/lock")).unwrap();
    let is_held = || flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err();
    let processes = engine.host().processes();
    let holder = processes.iter().find(|p| p.command.contains("holder")).expect("a holder");
    let holder = Pid::from_raw(holder.pid.cast_signed()).unwrap();
    // What the launcher waits for.
    kill_process(holder, Signal::STOP).unwrap();
    engine.terminate();
    wait_until("the socket is gone", || (!engine.host().socket().exists()).then_some(()));
    let held = is_held();
    kill_process(holder, Signal::CONT).unwrap();
    assert!(held, "the lock is free, and the holder is still to end");
    engine.wait_stopped();
    assert!(!is_held() && !engine.host().run().join("docker.pid").exists());
}

#[test]
fn an_engine_that_cannot_start_ends_no_container_of_the_last() {
    let mut engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "-d", "--name", "stays", "busybox", "sleep", "1000"]).ok();
    let pid = engine.docker(&["inspect", "-f", "{{.State.Pid}}", "stays"]).ok().stdout;
    engine.kill_launcher();
    let failed = engine.lichen(&["daemon", "--bip=10.77.3.1/24", "--fixed-cidr=10.78.0.0/24"]).exits(1);
    failed.complains("is not within the bridge's subnet");
    engine.launch();
    engine.docker(&["inspect", "-f", "{{.State.Pid}}", "stays"]).ok().prints(pid.trim());
}

#[test]
fn a_second_engine_on_the_same_directories_is_refused() {
    let engine = Engine::start();
    let second = engine.lichen(&["daemon"]);
    assert!(!second.status.success(), "{second}");
    assert!(
        second.stderr.contains(&engine.pid().to_string())
            || second.stderr.contains(&engine.launcher_pid().to_string()),
        "{second}"
    );
    engine.docker(&["version"]).ok();
}

#[test]
fn without_an_engine_the_client_says_where_it_looked() {
    let host = Host::new();
    let output = host.run_command(e2e::program("lichen"), &["ps"]);
    assert!(
        !output.status.success() && output.stderr.contains("Cannot connect to the Docker daemon at unix://"),
        "{output}"
    );
}

#[test]
fn bad_references_and_requests_have_dockers_words() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "UPPER"]).exits(125).complains("must be lowercase");
    engine.docker(&["run", "--pull", "never", "nope"]).exits(125).complains("No such image: nope:latest");
    engine
        .docker(&["run", "-v", "relative/path:/x", "busybox"])
        .exits(125)
        .complains("includes invalid characters for a local volume name");
    engine.docker(&["run", "-p", "99999:1", "busybox"]).exits(125).complains("nvalid");
    engine.docker(&["run", "--cap-add", "NOPE", "busybox"]).exits(125).complains("nknown capability");
    engine.docker(&["run", "--runtime", "nope", "busybox"]).exits(125).complains("nope");
    engine.docker(&["run", "--network", "nope", "busybox"]).exits(125).complains("network nope not found");
    engine.docker(&["run", "--device", "/dev/nope", "busybox"]).exits(125).complains("/dev/nope");
    engine.docker(&["swarm", "init"]).exits(1);
    engine.docker(&["ps", "-aq"]).ok();
}

#[test]
fn malformed_bodies_are_answered_with_400_and_json() {
    use std::io::{Read, Write};
    let engine = Engine::start();
    for body in ["{", "[]", "null", "{\"HostConfig\": 3}", "{\"Image\": [\"a\"]}"] {
        let mut socket = std::os::unix::net::UnixStream::connect(engine.host().socket()).unwrap();
        let request = format!(
            "POST /v1.45/containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("{\"message\":"), "{body}: {reply}");
    }
    engine.docker(&["ps", "-aq"]).ok().prints("");
}
