//! A migration that is killed, at each change it makes, and gone on with by the next.

use super::listing;
use e2e::{Engine, kill_9, program};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

/// Where in a request the command is killed.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Nothing of it arrives.
    Before,
    /// The half of what was sent at first arrives.
    Within,
    /// It arrives, and its answer is not heard.
    After,
}

/// Between `migrate` and the engine that it fills: passes on what is sent, until a request comes that changes
/// something and `left` has been counted down.
struct Gate {
    address: String,
    /// Told when the command is to be killed.
    held: Receiver<()>,
    way: Arc<Way>,
}

/// What the threads of all connections share.
struct Way {
    left: AtomicUsize,
    at: Mutex<At>,
    /// The first line of each request that was the last of its run.
    last: Mutex<Vec<String>>,
}

impl Gate {
    fn before(engine: &Engine) -> Self {
        let path = engine.host().run().join("gate.sock");
        let listener = UnixListener::bind(&path).expect("listen");
        std::os::unix::fs::chown(&path, Some(engine.host().uid()), None).expect("chown");
        let (sender, held) = mpsc::channel();
        let (left, at) = (AtomicUsize::new(0), Mutex::new(At::Before));
        let way = Arc::new(Way { left, at, last: Mutex::default() });
        let (shared, socket) = (way.clone(), engine.host().socket());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) =
                    (client.expect("accept"), UnixStream::connect(&socket).expect("reach the engine"));
                let (way, sender) = (shared.clone(), sender.clone());
                let back = (server.try_clone().expect("dup"), client.try_clone().expect("dup"));
                let deaf = Arc::new(AtomicBool::new(false));
                let (told, held) = (deaf.clone(), sender.clone());
                std::thread::spawn(move || downward(back.0, back.1, &told, &held));
                std::thread::spawn(move || upward(client, server, &way, &deaf, &sender));
            }
        });
        Self { address: format!("unix://{}", path.display()), held, way }
    }

    /// Lets `count` changes pass and kills the command at the next. Its exit code, if it was not killed.
    fn run_until(&self, count: usize, at: At, mut command: Command) -> Option<i32> {
        self.way.left.store(count, Ordering::SeqCst);
        *self.way.at.lock().expect("no thread panics") = at;
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start migrate");
        loop {
            match self.held.recv_timeout(Duration::from_millis(20)) {
                Ok(()) => {
                    kill_9(child.id());
                    child.wait().expect("reap migrate");
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("the gate has ended"),
            }
            if let Some(status) = child.try_wait().expect("wait for migrate") {
                return Some(status.code().expect("an exit code"));
            }
        }
    }
}

impl Way {
    /// Whether the change that begins here is the one. A client sends a request's head at once, so that the beginning
    /// of what is read is one.
    fn ends(&self, bytes: &[u8]) -> Option<At> {
        if ![&b"POST "[..], b"PUT ", b"DELETE "].iter().any(|method| bytes.starts_with(method)) {
            return None;
        }
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => None,
            Err(_) => {
                let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
                let line = String::from_utf8_lossy(line).into_owned();
                let at = *self.at.lock().expect("no thread panics");
                self.last.lock().expect("no thread panics").push(format!("{at:?} {line}"));
                Some(at)
            }
        }
    }
}

fn upward(mut from: UnixStream, mut to: UnixStream, way: &Way, deaf: &AtomicBool, held: &Sender<()>) {
    let mut buffer = vec![0; 64 << 10];
    // Whoever is killed breaks its connections.
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let ends = way.ends(&buffer[..length]);
        let passes = match ends {
            None => length,
            Some(At::Before) => 0,
            Some(At::Within) => length / 2,
            Some(At::After) => {
                deaf.store(true, Ordering::SeqCst);
                length
            }
        };
        let written = to.write_all(&buffer[..passes]);
        if matches!(ends, Some(At::Before | At::Within)) {
            held.send(()).expect("tell the test");
            // A command whose connection breaks goes on with what comes next; this one waits until it is killed.
            while matches!(from.read(&mut buffer), Ok(1..)) {}
            break;
        }
        if written.is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

fn downward(mut from: UnixStream, mut to: UnixStream, deaf: &AtomicBool, held: &Sender<()>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if deaf.load(Ordering::SeqCst) {
            held.send(()).expect("tell the test");
            // Without closing anything, for the same reason: that is done on the other way, when the command is dead.
            return;
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

/// The command that brings `kinds` from one engine through the gate into the other.
fn migrate(source: &Engine, target: &Engine, gate: &Gate, words: &[&str]) -> Command {
    let from = format!("unix://{}", source.host().socket().display());
    let mut command = target.host().command(program("lichen"));
    command.args(["migrate", "--from", &from, "--to", &gate.address, "--apply"]).args(words);
    command
}

#[test]
fn a_migration_killed_at_any_step_is_gone_on_with() {
    let (source, target) = (Engine::start(), Engine::start());
    for engine in [&source, &target] {
        engine.load("busybox");
    }
    let fill = "mkdir -m 700 /d/sub && echo hello >/d/sub/file && chown -R 33:44 /d/sub && chmod 2751 /d";
    source.docker(&["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", fill]).ok();
    source.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/other"]).ok();
    // Not what the other has under this name, and nobody's to remove.
    target.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/own"]).ok();
    let gate = Gate::before(&target);
    let mut changes = 0;
    let code = loop {
        let command = migrate(&source, &target, &gate, &["--only", "volumes"]);
        match gate.run_until(changes, At::Before, command) {
            Some(code) => break code,
            None => changes += 1,
        }
        assert!(listing(&target, "theirs").contains("own"), "after {changes} changes");
        assert!(changes < 100, "it never ends");
    };
    // What the kills left has to be taken away, the volume made and filled, the other compared.
    assert!(changes > 6, "killed at {changes} changes only");
    assert_eq!(code, 1, "the other volume is told");
    assert_eq!(listing(&target, "data"), listing(&source, "data"));
    assert!(listing(&target, "theirs").contains("own"));
    for engine in [&source, &target] {
        engine.docker(&["ps", "-aq", "--filter", "label=lichen.migrate.volume"]).ok().prints("");
    }
}

#[test]
fn a_migration_killed_before_within_and_after_each_step_makes_nothing_twice() {
    let (source, target) = (Engine::start(), Engine::start());
    source.load("busybox");
    source.docker(&["tag", "busybox", "example/shop:1"]).ok();
    source.docker(&["network", "create", "--subnet", "10.91.8.0/24", "front"]).ok();
    let run = ["run", "-d", "--name", "shop", "--network", "front", "example/shop:1", "sleep", "1000"];
    source.docker(&run).ok();
    let gate = Gate::before(&target);
    // Each turn is killed three times at the first change that is left, which the third time is made.
    let mut kills = 0;
    let code = 'ended: loop {
        for at in [At::Before, At::Within, At::After] {
            let only = ["--start", "--only", "images,networks,containers"];
            if let Some(code) = gate.run_until(0, at, migrate(&source, &target, &gate, &only)) {
                break 'ended code;
            }
            kills += 1;
        }
        assert!(kills < 60, "it never ends");
    };
    let last = gate.way.last.lock().expect("no thread panics");
    assert_eq!(code, 0, "{last:#?}");
    // The image, the network, the container, and its start. An answer to what was asked before may be taken for the one
    // that is not heard, so that the change itself comes later or not.
    assert!(kills >= 9, "killed at {last:#?} only");
    let listed = |what: &[&str]| {
        // The order of what was made at the same time is nobody's promise.
        let listed = |engine: &Engine| {
            let mut lines: Vec<String> = engine.docker(what).ok().stdout.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(listed(&target), listed(&source), "{what:?}");
    };
    listed(&["ps", "-a", "--format", "{{.Names}} {{.Image}} {{.State}}"]);
    listed(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]);
    listed(&["images", "-a", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
}
