//! What becomes of a container after it was made.

use e2e::{Engine, wait_until};

fn engine() -> Engine {
    let engine = Engine::start();
    engine.load("busybox");
    engine
}

fn state(engine: &Engine, name: &str) -> String {
    engine.docker(&["inspect", "-f", "{{.State.Status}}", name]).ok().text().to_owned()
}

#[test]
fn create_start_stop_start_rm() {
    // Not a name that an ID may begin with: in the end it is looked for when nothing has it.
    let engine = engine();
    engine.docker(&["create", "--name", "lasting", "busybox", "sleep", "1000"]).ok();
    assert_eq!(state(&engine, "lasting"), "created");
    engine.docker(&["start", "lasting"]).ok().prints("lasting");
    assert_eq!(state(&engine, "lasting"), "running");
    engine.docker(&["stop", "-t", "1", "lasting"]).ok();
    assert_eq!(state(&engine, "lasting"), "exited");
    engine.docker(&["inspect", "-f", "{{.State.ExitCode}}", "lasting"]).ok().prints("137");
    engine.docker(&["start", "lasting"]).ok();
    assert_eq!(state(&engine, "lasting"), "running");
    engine
        .docker(&["rm", "lasting"])
        .exits(1)
        .complains("container is running: stop the container before removing or force remove");
    engine.docker(&["rm", "-f", "lasting"]).ok();
    engine.docker(&["inspect", "lasting"]).exits(1).complains("No such object: lasting");
}

#[test]
fn what_is_removed_when_it_ends_is_not_synced_and_can_be_restarted() {
    let engine = engine();
    let script = "echo once >> /kept; exec sleep 1000";
    let root =
        |name: &str| engine.docker(&["exec", name, "grep", " / ", "/proc/mounts"]).ok().text().to_owned();
    engine.docker(&["run", "-d", "--rm", "--name", "passing", "busybox", "sh", "-c", script]).ok();
    assert!(root("passing").contains("volatile"));
    engine.docker(&["restart", "-t", "0", "passing"]).ok();
    wait_until("it runs again", || {
        let kept = engine.docker(&["exec", "passing", "cat", "/kept"]);
        (kept.stdout == "once\nonce\n").then_some(())
    });
    engine.docker(&["run", "-d", "--name", "lasting", "busybox", "sh", "-c", script]).ok();
    assert!(!root("lasting").contains("volatile"));
}

#[test]
fn a_stop_signal_is_delivered_and_its_handler_decides_the_exit_code() {
    let engine = engine();
    let script = "trap 'echo bye; exit 3' USR1; while :; do sleep 0.05; done";
    engine
        .docker(&["run", "-d", "--name", "c1", "--stop-signal", "USR1", "busybox", "sh", "-c", script])
        .ok();
    engine.docker(&["stop", "c1"]).ok();
    engine.docker(&["wait", "c1"]).ok().prints("3");
    engine.docker(&["logs", "c1"]).ok().prints("bye");
}

#[test]
fn kill_sends_the_signal_asked_for() {
    let engine = engine();
    engine.docker(&["run", "-d", "--name", "c1", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["kill", "-s", "NOPE", "c1"]).exits(1).complains("nvalid signal: NOPE");
    engine.docker(&["kill", "c1"]).ok();
    engine.docker(&["wait", "c1"]).ok().prints("137");
    engine.docker(&["kill", "c1"]).exits(1).complains("is not running");
}

#[test]
fn a_name_is_taken_once_and_can_be_changed() {
    let engine = engine();
    engine.docker(&["create", "--name", "a1", "busybox"]).ok();
    engine
        .docker(&["create", "--name", "a1", "busybox"])
        .exits(1)
        .complains("Conflict. The container name \"/a1\" is already in use");
    engine.docker(&["rename", "a1", "b1"]).ok();
    engine.docker(&["create", "--name", "a1", "busybox"]).ok();
    engine.docker(&["create", "--name", "/!", "busybox"]).exits(1).complains("Invalid container name");
}

#[test]
fn a_container_on_failure_is_restarted_as_often_as_asked() {
    let engine = engine();
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--restart",
            "on-failure:2",
            "busybox",
            "sh",
            "-c",
            "echo try; exit 1",
        ])
        .ok();
    wait_until("it gave up", || {
        let seen = engine.docker(&["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "c1"]).ok();
        (seen.text() == "exited 2").then_some(())
    });
    let log = engine.docker(&["logs", "c1"]).ok();
    assert_eq!(log.stdout.lines().count(), 3, "{log}");
}

#[test]
fn a_health_check_turns_a_container_healthy_and_unhealthy() {
    let engine = engine();
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--health-cmd",
            "test -e /ok",
            "--health-interval",
            "200ms",
            "--health-retries",
            "2",
            "busybox",
            "sh",
            "-c",
            "touch /ok; sleep 1000",
        ])
        .ok();
    let health =
        || engine.docker(&["inspect", "-f", "{{.State.Health.Status}}", "c1"]).ok().text().to_owned();
    wait_until("healthy", || (health() == "healthy").then_some(()));
    engine.docker(&["exec", "c1", "rm", "/ok"]).ok();
    wait_until("unhealthy", || (health() == "unhealthy").then_some(()));
    let ps =
        engine.docker(&["ps", "--filter", "health=unhealthy", "--format", "{{.Names}} {{.Status}}"]).ok();
    assert!(ps.text().starts_with("c1 Up ") && ps.text().ends_with("(unhealthy)"), "{ps}");
}

#[test]
fn init_reaps_orphans_and_passes_signals_on() {
    let engine = engine();
    engine.docker(&["run", "-d", "--name", "c1", "--init", "busybox", "sleep", "1000"]).ok();
    engine
        .docker(&[
            "exec",
            "c1",
            "sh",
            "-c",
            "(sleep 0.1 &) ; sleep 0.3; ps -o stat,args | grep -c '^Z' || true",
        ])
        .ok()
        .prints("0");
    engine.docker(&["stop", "-t", "10", "c1"]).ok();
    engine.docker(&["wait", "c1"]).ok().prints("143");
}

#[test]
fn events_tell_the_story_of_a_container() {
    let engine = engine();
    engine.docker(&["run", "--name", "c1", "busybox", "true"]).ok();
    engine.docker(&["rm", "c1"]).ok();
    // In whole seconds, so that the present one is not cut short.
    let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let until = engine
        .docker(&[
            "events",
            "--since",
            "10m",
            "--until",
            &end.to_string(),
            "--filter",
            "container=c1",
            "--format",
            "{{.Action}}",
        ])
        .ok();
    let story: Vec<_> = until.text().lines().collect();
    assert_eq!(story, ["create", "attach", "start", "die", "destroy"], "{until}");
}

#[test]
fn ps_filters_and_formats() {
    let engine = engine();
    engine.docker(&["run", "-d", "--name", "up", "--label", "tier=web", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["run", "--name", "down", "busybox", "sh", "-c", "exit 4"]).exits(4);
    for (filter, expect) in [
        ("status=running", "up"),
        ("status=exited", "down"),
        ("exited=4", "down"),
        ("label=tier=web", "up"),
        ("name=^/do", "down"),
        ("ancestor=busybox", "down\nup"),
        ("since=up", "down"),
        ("before=down", "up"),
        ("network=bridge", "down\nup"),
    ] {
        for client in ["docker", "lichen"] {
            let args = ["ps", "-a", "--filter", filter, "--format", "{{.Names}}"];
            let run = if client == "docker" { engine.docker(&args) } else { engine.lichen(&args) };
            run.ok().prints(expect);
        }
    }
    engine.docker(&["ps", "--filter", "nope=1"]).exits(1).complains("invalid filter 'nope'");
}

#[test]
fn prune_removes_what_does_not_run() {
    let engine = engine();
    engine.docker(&["run", "-d", "--name", "up", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["run", "--name", "down", "busybox", "true"]).ok();
    engine.docker(&["container", "prune", "-f"]).ok();
    engine.docker(&["ps", "-a", "--format", "{{.Names}}"]).ok().prints("up");
}

#[test]
fn an_engine_stopped_gracefully_stops_its_containers_and_starts_those_that_want_it() {
    let mut engine = engine();
    engine.docker(&["run", "-d", "--name", "once", "busybox", "sleep", "1000"]).ok();
    engine.docker(&["run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "1000"]).ok();
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "stopped",
            "--restart",
            "unless-stopped",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    engine.docker(&["stop", "-t", "0", "stopped"]).ok();
    engine.stop();
    engine.launch();
    wait_until("always is up again", || (state(&engine, "always") == "running").then_some(()));
    assert_eq!(state(&engine, "once"), "exited");
    assert_eq!(state(&engine, "stopped"), "exited");
}
