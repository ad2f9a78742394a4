//! Running a further command in a container.

use e2e::Engine;

fn engine() -> Engine {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "-d", "--name", "c1", "busybox", "sleep", "1000"]).ok();
    engine
}

#[test]
fn it_prints_fails_and_reads_as_a_command_does() {
    let engine = engine();
    for client in ["docker", "lichen"] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        run(&["exec", "c1", "sh", "-c", "echo out; echo err >&2; exit 5"])
            .exits(5)
            .prints("out")
            .complains("err");
        // Docker tells it on the stream, which a client takes for the command's output.
        let missing = run(&["exec", "c1", "nope"]).exits(127);
        assert!(missing.stdout.contains("executable file not found in $PATH"), "{missing}");
        let refused = run(&["exec", "c1", "/etc/passwd"]).exits(126);
        assert!(refused.stdout.contains("permission denied"), "{refused}");
        run(&["exec", "nope", "true"]).exits(1).complains("No such container: nope");
        engine.with_input(client, &["exec", "-i", "c1", "wc", "-c"], &[b'x'; 200_000]).ok().prints("200000");
    }
}

#[test]
fn user_environment_and_directory_are_as_asked() {
    let engine = engine();
    engine
        .docker(&[
            "exec",
            "-u",
            "www-data",
            "-w",
            "/var/www",
            "-e",
            "A=1",
            "c1",
            "sh",
            "-c",
            "id -un; pwd; echo $A; echo $HOME",
        ])
        .ok()
        .prints("www-data\n/var/www\n1\n/var/www");
    let unknown = engine.docker(&["exec", "-u", "nobodyatall", "c1", "true"]).exits(126);
    assert!(unknown.stdout.contains("unable to find user nobodyatall"), "{unknown}");
    let nowhere = engine.docker(&["exec", "-w", "/nope", "c1", "true"]);
    assert!(!nowhere.status.success() && nowhere.stdout.contains("/nope"), "{nowhere}");
}

#[test]
fn it_is_in_all_of_the_containers_namespaces_with_the_same_powers() {
    let engine = engine();
    let script = "for n in mnt pid net ipc uts cgroup user; do readlink /proc/self/ns/$n; done; grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status";
    let init = engine.docker(&["exec", "c1", "sh", "-c", &script.replace("self", "1")]).ok();
    let exec = engine.docker(&["exec", "c1", "sh", "-c", script]).ok();
    assert_eq!(init.stdout, exec.stdout);
    assert!(
        exec.stdout.contains("CapInh:\t0000000000000000") && exec.stdout.contains("Seccomp:\t2"),
        "{exec}"
    );
}

#[test]
fn privileged_exec_has_more_powers_than_the_container() {
    let engine = engine();
    let caps = |args: &[&str]| {
        engine.docker(&[args, &["c1", "grep", "CapEff", "/proc/self/status"]].concat()).ok().text().to_owned()
    };
    assert_eq!(caps(&["exec"]), "CapEff:\t00000000a80425fb");
    assert_eq!(caps(&["exec", "--privileged"]), "CapEff:\t000001ffffffffff");
}

#[test]
fn a_detached_exec_goes_on_and_its_exit_is_recorded() {
    let engine = engine();
    engine.docker(&["exec", "-d", "c1", "sh", "-c", "sleep 0.2; echo done > /tmp/mark"]).ok();
    e2e::wait_until("the mark", || {
        (engine.docker(&["exec", "c1", "cat", "/tmp/mark"]).text() == "done").then_some(())
    });
}

#[test]
fn top_shows_the_containers_processes() {
    let engine = engine();
    let top = engine.docker(&["top", "c1"]).ok();
    assert!(top.stdout.lines().next().is_some_and(|l| l.starts_with("UID")), "{top}");
    assert!(top.stdout.contains("sleep 1000"), "{top}");
    engine.lichen(&["top", "c1", "-o", "pid,args"]).ok();
}
