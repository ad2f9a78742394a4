//! What containers printed.

use e2e::{Engine, wait_until};

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

#[test]
fn a_terminal_has_a_size_and_echoes() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["run", "-dt", "--name", "c1", "busybox", "sh", "-c", "tty; stty size; sleep 1000"]).ok();
    wait_until("the terminal's name", || {
        engine.docker(&["logs", "c1"]).ok().stdout.contains("/dev/pts/0").then_some(())
    });
}
