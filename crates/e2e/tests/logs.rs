//! What containers printed.

use e2e::{Engine, wait_until};
use std::os::unix::{fs::PermissionsExt, net::UnixDatagram};

#[test]
fn logs_are_kept_with_streams_times_and_tails() {
    let engine = Engine::start();
    engine.load("busybox");
    engine
        .docker(&[
            "run",
            "--name",
            "c1",
            "busybox",
            "sh",
            "-c",
            "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done",
        ])
        .ok();
    for client in ["docker", "lichen"] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        let all = run(&["logs", "c1"]).ok();
        assert_eq!(all.stdout, "o1\no2\no3\no4\no5\n");
        assert_eq!(all.stderr, "e1\ne2\ne3\ne4\ne5\n");
        // Two pipes have no order between them, so only the number of lines is certain.
        let tail = run(&["logs", "-n", "1", "c1"]).ok();
        assert_eq!(format!("{}{}", tail.stdout, tail.stderr).lines().count(), 1, "{tail}");
        let stamped = run(&["logs", "-t", "-n", "2", "c1"]).ok();
        for line in format!("{}{}", stamped.stdout, stamped.stderr).lines() {
            assert!(line.starts_with("20") && line.contains("Z "), "{stamped}");
        }
        run(&["logs", "--since", "1h", "--until", "30m", "c1"]).ok().prints("");
    }
}

#[test]
fn following_ends_with_the_container() {
    let engine = Engine::start();
    engine.load("busybox");
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "c1",
            "busybox",
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i; sleep 0.2; done",
        ])
        .ok();
    engine.docker(&["logs", "-f", "c1"]).ok().prints("1\n2\n3");
}

#[test]
fn a_big_log_is_rotated_and_nothing_of_the_end_is_lost() {
    let engine = Engine::start();
    engine.load("busybox");
    engine
        .docker(&[
            "run",
            "--name",
            "c1",
            "--log-opt",
            "max-size=20k",
            "--log-opt",
            "max-file=3",
            "busybox",
            "seq",
            "5000",
        ])
        .ok();
    let logs = engine.docker(&["logs", "c1"]).ok();
    assert_eq!(logs.stdout.lines().last(), Some("5000"));
    let numbers: Vec<u32> = logs.stdout.lines().map(|l| l.parse().expect("a number")).collect();
    assert!(numbers.len() < 5000 && numbers.windows(2).all(|w| w[1] == w[0] + 1), "{} lines", numbers.len());
}

#[test]
fn the_local_driver_reads_back_and_none_says_so() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "--name", "local", "--log-driver", "local", "busybox", "echo", "hello"]).ok();
    engine.docker(&["logs", "local"]).ok().prints("hello");
    engine.docker(&["run", "--name", "none", "--log-driver", "none", "busybox", "echo", "hello"]).ok();
    engine.docker(&["logs", "none"]).exits(1).complains("configured logging driver does not support reading");
    engine.docker(&["run", "--log-driver", "nope", "busybox", "true"]).exits(125).complains("nope");
}

/// A server of the kind that /dev/log is, at a path that the engine's user may use.
fn syslog(engine: &Engine) -> (UnixDatagram, String) {
    let path = engine.host().path("log.sock");
    let server = UnixDatagram::bind(&path).expect("bind the server");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("chmod");
    server.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a timeout");
    (server, format!("syslog-address=unixgram://{}", path.display()))
}

fn receive(server: &UnixDatagram) -> String {
    let mut buffer = [0; 2048];
    let length = server.recv(&mut buffer).expect("a message within 20 s");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn syslog_gets_each_line_and_a_copy_is_kept_for_reading() {
    let engine = Engine::start();
    engine.load("busybox");
    let (server, address) = syslog(&engine);
    let run = ["run", "--log-driver", "syslog", "--log-opt", &address];
    let run = |more: &[&str]| engine.docker(&[&run, more].concat());
    let tag = "tag={{.ImageName}}/{{.Name}}";
    let script = "echo out; echo err >&2";
    run(&["--name", "c1", "--log-opt", tag, "busybox", "sh", "-c", script]).ok();
    let mut seen = [receive(&server), receive(&server)];
    // Two pipes have no order between them; <27> is an error of a daemon, <30> information.
    seen.sort();
    assert!(seen[0].starts_with("<27>") && seen[0].ends_with("]: err\n"), "{seen:?}");
    assert!(seen[1].starts_with("<30>") && seen[1].contains(" busybox/c1["), "{seen:?}");
    let logs = engine.docker(&["logs", "c1"]).ok();
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\n", "err\n"));

    run(&["--name", "c2", "--log-opt", "cache-disabled=true", "busybox", "echo", "hello"]).ok();
    assert!(receive(&server).ends_with("]: hello\n"));
    engine.docker(&["logs", "c2"]).exits(1).complains("configured logging driver does not support reading");

    run(&["--log-opt", "tag={{.Colour}}", "busybox", "true"]).exits(125).complains(".Colour");
    drop(server);
    let failed = run(&["--name", "c3", "busybox", "true"]).exits(125);
    failed.complains("initialize logging driver: cannot connect to syslog server unixgram://");
}

#[test]
fn an_engines_log_driver_is_its_containers_unless_they_choose() {
    let host = e2e::Host::new();
    let path = host.path("log.sock");
    let address = format!("syslog-address=unixgram://{}", path.display());
    let engine = Engine::start_on(host, &["--log-driver", "syslog", "--log-opt", &address], &[]);
    engine.load("busybox");
    let (server, _) = syslog(&engine);
    engine.docker(&["run", "busybox", "echo", "by default"]).ok();
    assert!(receive(&server).ends_with("]: by default\n"));
    engine.docker(&["info", "--format", "{{.LoggingDriver}}"]).ok().prints("syslog");
    engine.docker(&["run", "--name", "own", "--log-driver", "local", "busybox", "echo", "own"]).ok();
    engine.docker(&["logs", "own"]).ok().prints("own");
    server.set_nonblocking(true).expect("no waiting");
    server.recv(&mut [0; 1]).expect_err("the server got a line of a container that chose another driver");
}

#[test]
fn a_journal_that_is_not_there_is_told() {
    let engine = Engine::start();
    engine.load("busybox");
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        engine.docker(&["run", "--log-driver", "journald", "--name", "c1", "busybox", "echo", "hello"]).ok();
        engine.docker(&["logs", "c1"]).ok().prints("hello");
        return;
    }
    let failed = engine.docker(&["run", "--log-driver", "journald", "busybox", "true"]).exits(125);
    failed.complains("initialize logging driver: journald is not enabled on this host");
    engine
        .docker(&["run", "--log-driver", "fluentd", "busybox", "true"])
        .exits(125)
        .complains("logger: no log driver named 'fluentd' is registered");
}

#[test]
fn a_log_that_never_waits_is_complete_all_the_same() {
    let engine = Engine::start();
    engine.load("busybox");
    let options = ["--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=16m"];
    engine.docker(&[&["run", "--name", "c1"], &options[..], &["busybox", "seq", "20000"]].concat()).ok();
    let logs = engine.docker(&["logs", "c1"]).ok();
    assert_eq!(logs.stdout.lines().count(), 20_000);
    engine
        .docker(&["run", "--log-opt", "max-buffer-size=1m", "busybox", "true"])
        .exits(125)
        .complains("max-buffer-size option is only supported with 'mode=non-blocking'");
}

#[test]
fn a_terminal_has_a_size_and_echoes() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "-dt", "--name", "c1", "busybox", "sh", "-c", "tty; stty size; sleep 1000"]).ok();
    wait_until("the terminal's name", || {
        engine.docker(&["logs", "c1"]).ok().stdout.contains("/dev/pts/0").then_some(())
    });
}
