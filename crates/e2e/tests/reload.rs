//! SIGHUP to the launcher: settings change while containers and clients go on.

use e2e::{Engine, Host, wait_until};
use std::io::{BufRead, BufReader};

const FILE: &str = ".config/docker/daemon.json";
const INFO: &str = "{{json .Labels}} {{.LiveRestoreEnabled}} {{.Debug}} {{json .RegistryConfig.Mirrors}}";

fn info(engine: &Engine) -> String {
    engine.docker(&["info", "-f", INFO]).ok().text().to_owned()
}

fn hang_up(engine: &Engine, file: &str) {
    engine.host().write(FILE, file);
    engine.signal(rustix::process::Signal::HUP);
}

#[test]
fn settings_change_in_a_running_engine_and_a_bad_file_changes_none() {
    let host = Host::new();
    host.write(FILE, r#"{"labels": ["tier=old"]}"#);
    let engine = Engine::start_on(host, &[], &[]);
    assert_eq!(info(&engine), r#"["tier=old"] false false []"#);
    let pid = engine.pid();
    let mut events = engine.spawn(
        "docker",
        &[
            "events",
            "--since",
            "10m",
            "--filter",
            "type=daemon",
            "--format",
            "{{.Action}} {{.Actor.Attributes.labels}}",
        ],
    );
    let new = r#"{"labels": ["tier=new"], "live-restore": true, "debug": true, "registry-mirrors": ["http://127.0.0.1:1"]}"#;
    hang_up(&engine, new);
    let expected = r#"["tier=new"] true true ["http://127.0.0.1:1"]"#;
    wait_until("the settings are in force", || (info(&engine) == expected).then_some(()));
    let mut event = String::new();
    BufReader::new(events.stdout.take().expect("its output is piped"))
        .read_line(&mut event)
        .expect("an event");
    assert_eq!(event.trim(), r#"reload ["tier=new"]"#);
    events.kill().and_then(|()| events.wait()).expect("end the client");

    hang_up(&engine, r#"{"labels": ["tier=worse"], "no-such-key": 1}"#);
    wait_until("it is said that the file is bad", || {
        let log = std::fs::read_to_string(engine.log()).expect("read the log");
        let line = log.lines().find(|l| l.contains("the configuration is not reloaded"))?;
        line.contains("no-such-key").then_some(())
    });
    assert_eq!(info(&engine), expected);
    assert_eq!(engine.pid(), pid, "it is the same engine");
    // No container needs what live-restore would leave: the harness finds that nothing is left.
}

#[test]
fn containers_go_on_when_live_restore_was_switched_on() {
    let mut engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "-d", "--name", "c1", "busybox", "sleep", "1000"]).ok();
    let init: u32 =
        engine.docker(&["inspect", "-f", "{{.State.Pid}}", "c1"]).ok().text().parse().expect("a PID");
    hang_up(&engine, r#"{"live-restore": true}"#);
    let is_live = |engine: &Engine, wanted: &str| {
        wait_until("live-restore is switched", || {
            (engine.docker(&["info", "-f", "{{.LiveRestoreEnabled}}"]).ok().text() == wanted).then_some(())
        });
    };
    is_live(&engine, "true");
    engine.stop();
    assert!(std::path::Path::new(&format!("/proc/{init}")).exists(), "the container ended with its engine");
    engine.launch();
    engine.docker(&["exec", "c1", "echo", "reachable"]).ok().prints("reachable");
    hang_up(&engine, "{}");
    is_live(&engine, "false");
    engine.docker(&["stop", "-t", "0", "c1"]).ok();
}

#[test]
fn defaults_of_new_containers_change_with_a_reload() {
    let engine = Engine::start();
    engine.load("busybox");
    let file = r#"{"default-shm-size": "8m", "default-ipc-mode": "shareable", "default-cgroupns-mode": "host", "default-stop-timeout": 1}"#;
    hang_up(&engine, file);
    let logged = |text: &str| std::fs::read_to_string(engine.log()).expect("read the log").contains(text);
    wait_until("it is reloaded", || logged("the configuration was reloaded").then_some(()));
    engine.docker(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).ok();
    let format = "{{.HostConfig.ShmSize}} {{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}}";
    engine.docker(&["inspect", "-f", format, "web"]).ok().prints("8388608 shareable host");
    // As process 1 it does not end of SIGTERM.
    engine.docker(&["stop", "web"]).ok();
    let log = std::fs::read_to_string(engine.log()).expect("read the log");
    let killed = log.lines().find(|l| l.contains("does not stop in time")).expect("it was killed");
    assert!(killed.split_whitespace().any(|word| word == "patience=1"), "another time to stop: {killed}");
    // No more is said than that: nothing of it needs another engine.
    assert!(!logged("when the engine is started again"));
    hang_up(&engine, r#"{"bip": "here"}"#);
    wait_until("a bad address is told", || logged("invalid bip").then_some(()));
}
