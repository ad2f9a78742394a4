//! Logs that go elsewhere: their sender is killed, their server goes away, nobody reads.

use crate::host::{Host, PIPES, Shim, wait_for};
use model::Id;
use shim_proto::{Create, ToShim};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testing::in_userns;

fn create(host: &Host, id: &Id, script: &str, driver: &str, options: &[(&str, String)]) -> Box<Create> {
    let mut create = host.create(id, &["sh", "-c", script], PIPES);
    create.log.driver = driver.into();
    create.log.options = options.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    create
}

/// The process that sends a shim's entries.
fn sender(shim: &Shim) -> Option<u32> {
    let pid = shim.process.expect("this test started it").pid;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).find(|pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with(b"lichen-shim\0log\0"))
    })
}

fn kill(pid: u32) {
    let process =
        sys::process::reference(rustix::process::Pid::from_raw(pid.cast_signed()).unwrap()).unwrap();
    let pidfd = sys::pidfd::open(process).unwrap();
    sys::pidfd::signal(&pidfd, 9).unwrap();
    assert!(sys::pidfd::poll_exit(&pidfd, Some(Duration::from_secs(5))).unwrap());
}

/// Lines of all connections until `count` different numbers have come.
fn numbers(listener: TcpListener, count: usize) -> Vec<u32> {
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(connection).lines().map_while(Result::ok) {
                    let number = line.rsplit_once("]: ").and_then(|(_, text)| text.parse().ok());
                    if number.is_some_and(|number: u32| sender.send(number).is_err()) {
                        return;
                    }
                }
            });
        }
    });
    let mut seen = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    while seen.len() < count {
        let number = lines.recv_timeout(Duration::from_secs(20)).expect("another line within 20 s");
        seen.insert(number);
        all.push(number);
    }
    all
}

#[test]
fn a_killed_sender_is_replaced_and_nothing_is_missing() {
    in_userns("log_drivers::a_killed_sender_is_replaced_and_nothing_is_missing", || {
        let (host, id) = (Host::new(), Id::random());
        sys::loopback::up().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let mut shim = host.shim(&id, false);
        let script = "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); busybox usleep 2000; done";
        shim.run(create(&host, &id, script, "syslog", &[("syslog-address", address)]));
        let receiver = std::thread::spawn(move || numbers(listener, 300));
        let first = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(5));
            sender(&shim)
        });
        let first = first.take(2000).flatten().next().expect("a sender runs");
        kill(first);
        wait_for("another sender", || sender(&shim).is_some_and(|pid| pid != first));
        assert_eq!(shim.exited().code, 0);
        let mut seen = receiver.join().unwrap();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..300).collect::<Vec<_>>());
        // And the copy for reading back has each once.
        let config = logs::Config::parse("local", &Default::default()).unwrap().file.unwrap();
        let mut reader = logs::Reader::open(&config, &host.log_path(&id), Default::default()).unwrap();
        for n in 0..300 {
            assert_eq!(reader.entry().unwrap().unwrap().line, format!("{n}\n").into_bytes());
        }
        assert_eq!(reader.entry().unwrap(), None);
    });
}

#[test]
fn a_server_that_reads_nothing_does_not_hold_a_non_blocking_container_up() {
    in_userns("log_drivers::a_server_that_reads_nothing_does_not_hold_a_non_blocking_container_up", || {
        let (host, id) = (Host::new(), Id::random());
        sys::loopback::up().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = [
            ("syslog-address", format!("tcp://{}", listener.local_addr().unwrap())),
            ("mode", "non-blocking".to_owned()),
            ("max-buffer-size", "64k".to_owned()),
            ("cache-disabled", "true".to_owned()),
        ];
        let mut shim = host.shim(&id, false);
        let start = Instant::now();
        // More than socket buffers hold.
        let script = "yes $(seq 1 2000) | head -c 60000000; echo; echo the end";
        shim.run(create(&host, &id, script, "syslog", &options));
        assert_eq!(shim.exited().code, 0);
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
        // What is kept is the end, and how much is missing is told before it.
        let (mut told, mut last) = (false, String::new());
        // The first connection was the check's, which is closed; the second is the sender's.
        let mut lines =
            listener.incoming().map_while(Result::ok).take(2).flat_map(|c| BufReader::new(c).lines());
        while let Some(Ok(line)) = lines.next() {
            told |= line.contains(" log entries were dropped here: they were not taken in time");
            last = line;
            if last.ends_with("the end") {
                break;
            }
        }
        assert!(told && last.ends_with("]: the end"), "{told} {last}");
    });
}

#[test]
fn files_written_by_a_sender_are_complete_before_the_end_is_told() {
    in_userns("log_drivers::files_written_by_a_sender_are_complete_before_the_end_is_told", || {
        let (host, id) = (Host::new(), Id::random());
        let options = [("mode", "non-blocking".to_owned()), ("max-buffer-size", "8m".to_owned())];
        let mut shim = host.shim(&id, false);
        let reply = shim.ask(ToShim::Create(create(&host, &id, "seq 1 20000", "json-file", &options)));
        assert!(matches!(reply, shim_proto::FromShim::Created { .. }), "{reply:?}");
        shim.start();
        assert_eq!(shim.exited().code, 0);
        let expect: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
        assert_eq!(host.log(&id).len(), expect.len());
    });
}

#[test]
fn a_container_does_not_start_without_its_server() {
    in_userns("log_drivers::a_container_does_not_start_without_its_server", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        let missing: PathBuf = host.dir.join("no-such-socket");
        let options = [("syslog-address", format!("unixgram://{}", missing.display()))];
        let reply = shim.ask(ToShim::Create(create(&host, &id, "true", "syslog", &options)));
        let shim_proto::FromShim::Failed(failure) = reply else { panic!("{reply:?}") };
        let text = failure.to_string();
        assert!(
            text.contains("initialize logging driver: cannot connect to syslog server unixgram://"),
            "{text}"
        );
    });
}
