//! Running containers, as a user sees it.

use e2e::Engine;

#[test]
fn the_embedded_image_greets_without_a_registry() {
    let engine = Engine::start();
    let run = engine.lichen(&["run", "--rm", "lichen/hello"]).ok();
    assert!(run.stdout.contains("Lichen"), "{run}");
}

#[test]
fn a_container_prints_and_its_exit_code_is_the_clients() {
    let engine = Engine::start();
    engine.load("busybox");
    for run in [
        engine.docker(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]),
        engine.lichen(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]),
    ] {
        let run = run.exits(7).prints("out");
        assert_eq!(run.stderr.trim(), "err");
    }
    engine.docker(&["ps", "-aq"]).ok().prints("");
}

#[test]
fn a_missing_command_is_127_and_one_that_cannot_run_is_126() {
    let engine = Engine::start();
    engine.load("busybox");
    for client in ["docker", "lichen"] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        run(&["run", "--rm", "busybox", "nope"])
            .exits(127)
            .complains("exec: \"nope\": executable file not found in $PATH");
        run(&["run", "--rm", "busybox", "/etc/passwd"]).exits(126).complains("permission denied");
        run(&["run", "--no-such-flag"]).exits(125).complains("--no-such-flag");
    }
    engine.docker(&["ps", "-aq"]).ok().prints("");
}

#[test]
fn standard_input_reaches_the_container_and_ends_there() {
    let engine = Engine::start();
    engine.load("busybox");
    for client in ["docker", "lichen"] {
        engine
            .with_input(client, &["run", "-i", "--rm", "busybox", "wc", "-c"], &[b'x'; 300_000])
            .ok()
            .prints("300000");
    }
}
