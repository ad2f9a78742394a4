//! `lichen migrate`, from one engine to another.

use e2e::{Engine, Host, Output, archive, kill_9, program, wait_until};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

fn from(source: &Engine, target: &Engine, more: &[&str]) -> Output {
    let address = format!("unix://{}", source.host().socket().display());
    target.lichen(&[&["migrate", "--from", &address], more].concat())
}

/// A web server of sorts, with what belongs to it.
fn furnish(engine: &Engine) {
    engine.load("busybox");
    engine.docker(&["tag", "busybox", "example/web:1"]).ok();
    engine.docker(&["network", "create", "--subnet", "10.91.7.0/24", "--label", "a=b", "front"]).ok();
    engine.docker(&["volume", "create", "--label", "kind=data", "data"]).ok();
    engine.docker(&["volume", "create", "unused"]).ok();
    let fill = "cd /d && mkdir -m 700 sub && echo hello >sub/file && chown -R 33:44 sub && ln -s sub/file link && \
                chmod 2751 /d && chown 5:6 /d";
    engine.docker(&["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", fill]).ok();
    engine.docker(&["run", "--rm", "-v", "unused:/d", "busybox", "sh", "-c", "echo alone >/d/file"]).ok();
    let create =
        ["create", "--name", "web", "--network", "front", "--network-alias", "www", "-v", "data:/srv/data"];
    let more =
        ["-v", "/anonymous", "-e", "A=1", "--restart", "on-failure:3", "example/web:1", "sleep", "1000"];
    engine.docker(&[&create[..], &more[..]].concat()).ok();
    engine.docker(&["start", "web"]).ok();
    engine
        .docker(&["run", "-d", "--name", "side", "--network", "container:web", "busybox", "sleep", "1000"])
        .ok();
}

fn listing(engine: &Engine, volume: &str) -> String {
    let script =
        "cd /d && ls -lanR . | sed 's/ [A-Z][a-z][a-z] .*[0-9] / /' && cat file sub/file 2>/dev/null";
    let mount = format!("{volume}:/d");
    engine.docker(&["run", "--rm", "-v", &mount, "busybox", "sh", "-c", script]).stdout
}

#[test]
fn another_engine_is_copied_once_and_stays_as_it_is() {
    let (source, target) = (Engine::start(), Engine::start());
    furnish(&source);
    let before = source.docker(&["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}"]).ok().stdout;

    let plan = from(&source, &target, &[]).ok();
    for line in ["image", "network    front  create", "volume     data  copy", "container  web  create"] {
        assert!(plan.stdout.contains(line), "{line:?}: {plan}");
    }
    target.docker(&["images", "-q"]).ok().prints("");

    from(&source, &target, &["--apply"]).ok();
    target.docker(&["image", "inspect", "example/web:1", "--format", "{{len .RepoTags}}"]).ok().prints("2");
    for volume in ["data", "unused"] {
        assert_eq!(listing(&target, volume), listing(&source, volume), "{volume}");
    }
    target.docker(&["volume", "inspect", "data", "--format", "{{.Labels.kind}}"]).ok().prints("data");
    let subnet = "{{(index .IPAM.Config 0).Subnet}} {{.Labels.a}}";
    target.docker(&["network", "inspect", "front", "--format", subnet]).ok().prints("10.91.7.0/24 b");
    let format = "{{.State.Status}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.Config.Image}}";
    target.docker(&["inspect", "web", "--format", format]).ok().prints("created 3 example/web:1");
    // The volume that nobody named is the copied one, and nothing of the work is left.
    let anonymous = "{{range .Mounts}}{{if eq .Destination \"/anonymous\"}}{{.Name}}{{end}}{{end}}";
    let name = source.docker(&["inspect", "web", "--format", anonymous]).ok().stdout;
    target.docker(&["inspect", "web", "--format", anonymous]).ok().prints(name.trim());
    target.docker(&["ps", "-aq", "--filter", "label=lichen.migrate.volume"]).ok().prints("");
    assert_eq!(source.docker(&["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}"]).ok().stdout, before);

    let again = from(&source, &target, &["--apply", "--start"]).ok();
    assert!(again.stdout.contains("container  web  the same is here already"), "{again}");
    let running = target.docker(&["ps", "--format", "{{.Names}}"]).ok().stdout;
    let mut running: Vec<&str> = running.lines().collect();
    running.sort_unstable();
    assert_eq!(running, ["side", "web"]);
}

/// What a killed run leaves: a volume that is not whole, and the container that says so.
fn interrupt(engine: &Engine, volume: &str) {
    let mark = mark(engine, volume);
    engine.docker(&["volume", "create", "--label", &format!("lichen.migrate.mark={mark}"), volume]).ok();
    let mount = format!("{volume}:/d");
    engine.docker(&["run", "--rm", "-v", &mount, "busybox", "touch", "/d/half"]).ok();
}

/// A container that says that a volume is not whole; its ID.
fn mark(engine: &Engine, volume: &str) -> String {
    let label = format!("lichen.migrate.volume={volume}");
    let create = ["create", "--label", &label, "--label", "lichen.migrate.incomplete=", "busybox", "true"];
    engine.docker(&create).ok().text().to_owned()
}

#[test]
fn a_volume_that_is_not_whole_in_the_other_engine_is_refused_and_stays_there() {
    let (source, target) = (Engine::start(), Engine::start());
    for engine in [&source, &target] {
        engine.load("busybox");
    }
    interrupt(&source, "data");
    // The containers say that these are not whole, which the volumes themselves do not: somebody else made them.
    mark(&source, "theirs");
    source.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/other"]).ok();
    mark(&target, "theirs");
    target.docker(&["run", "--rm", "-v", "theirs:/d", "busybox", "touch", "/d/own"]).ok();
    source.docker(&["run", "--rm", "-v", "unmade:/d", "busybox", "touch", "/d/file"]).ok();
    mark(&target, "unmade");

    let applied = from(&source, &target, &["--apply", "--only", "volumes"]).exits(1);
    assert!(
        applied.stdout.contains("volume     data  not possible: it is not complete in the other"),
        "{applied}"
    );
    assert!(applied.stderr.contains("another volume theirs is here already"), "{applied}");
    target.docker(&["volume", "inspect", "data"]).exits(1);
    assert!(listing(&source, "data").contains("half"));
    assert!(listing(&source, "theirs").contains("other"));
    assert!(listing(&target, "theirs").contains("own"));
    assert_eq!(listing(&target, "unmade"), listing(&source, "unmade"));
    let marks = ["ps", "-aq", "--filter", "label=lichen.migrate.volume"];
    assert_eq!(source.docker(&marks).ok().stdout.lines().count(), 2);
    target.docker(&marks).ok().prints("");
}

#[test]
fn a_volume_that_cannot_be_made_leaves_nothing_that_claims_it() {
    let (source, target) = (Engine::start(), Engine::start());
    for engine in [&source, &target] {
        engine.load("busybox");
    }
    source.docker(&["run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/file"]).ok();
    // In the way of its directory.
    let place = target.host().data().join("volumes/data");
    std::fs::write(&place, "").expect("write a file");
    let failed = from(&source, &target, &["--apply", "--only", "volumes"]).exits(1);
    assert!(failed.stderr.contains("volume data: create volume data: "), "{failed}");
    target.docker(&["ps", "-aq", "--filter", "label=lichen.migrate.volume"]).ok().prints("");
    std::fs::remove_file(&place).expect("remove the file");

    target.docker(&["run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/own"]).ok();
    from(&source, &target, &["--apply", "--only", "volumes"])
        .exits(1)
        .complains("another volume data is here already");
    assert!(listing(&target, "data").contains("own"));
}

#[test]
fn what_differs_is_left_alone_and_what_was_interrupted_begins_anew() {
    let (source, target) = (Engine::start(), Engine::start());
    furnish(&source);
    target.load("busybox");
    interrupt(&target, "data");
    // Somebody's own.
    target.docker(&["run", "--rm", "-v", "unused:/d", "busybox", "touch", "/d/own"]).ok();
    target.docker(&["create", "--name", "web", "busybox", "true"]).ok();

    let plan = from(&source, &target, &[]).ok();
    assert!(plan.stdout.contains("data: an earlier run was interrupted"), "{plan}");
    let applied = from(&source, &target, &["--apply", "--only", "volumes,networks,containers"]).exits(1);
    assert!(applied.stdout.contains("container  web  another one is here already"), "{applied}");
    assert!(applied.stderr.contains("another volume unused is here already"), "{applied}");
    assert_eq!(listing(&target, "data"), listing(&source, "data"));
    assert!(listing(&target, "unused").contains("own"));
    target.docker(&["inspect", "web", "--format", "{{.Path}}"]).ok().prints("true");
}

#[test]
fn an_engine_is_not_copied_to_itself_and_what_is_not_there_is_told() {
    let engine = Engine::start();
    from(&engine, &engine, &[]).exits(1).complains("are the same engine");
    let missing = ["migrate", "--from", "unix:///nonexistent/docker.sock"];
    engine
        .lichen(&missing)
        .exits(1)
        .complains("Cannot connect to the Docker daemon at unix:///nonexistent/docker.sock");
    engine.lichen(&["migrate"]).exits(125).complains("--from is missing");
}

/// Between `migrate` and the engine that it fills: passes on what is sent, until a request comes that changes
/// something and `left` has been counted down.
struct Gate {
    address: String,
    /// Told when such a request was held back. It never arrives.
    held: Receiver<()>,
    left: Arc<AtomicUsize>,
}

impl Gate {
    fn before(engine: &Engine) -> Self {
        let path = engine.host().run().join("gate.sock");
        let listener = UnixListener::bind(&path).expect("listen");
        std::os::unix::fs::chown(&path, Some(engine.host().uid()), None).expect("chown");
        let (sender, held) = mpsc::channel();
        let left = Arc::new(AtomicUsize::new(0));
        let (counter, socket) = (left.clone(), engine.host().socket());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) =
                    (client.expect("accept"), UnixStream::connect(&socket).expect("reach the engine"));
                let (sender, counter) = (sender.clone(), counter.clone());
                let back = (server.try_clone().expect("dup"), client.try_clone().expect("dup"));
                std::thread::spawn(move || copy(back.0, back.1, |_| true));
                std::thread::spawn(move || copy(client, server, |bytes| passes(bytes, &counter, &sender)));
            }
        });
        Self { address: format!("unix://{}", path.display()), held, left }
    }

    /// Lets `count` changes pass and kills the command at the next. Its exit code, if it was not killed.
    fn run_until(&self, count: usize, mut command: Command) -> Option<i32> {
        self.left.store(count, Ordering::SeqCst);
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

/// A client sends a request's head at once, so that the beginning of what is read is one.
fn passes(bytes: &[u8], left: &AtomicUsize, held: &Sender<()>) -> bool {
    if ![&b"POST "[..], b"PUT ", b"DELETE "].iter().any(|method| bytes.starts_with(method)) {
        return true;
    }
    if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
        return true;
    }
    held.send(()).expect("tell the test");
    false
}

fn copy(mut from: UnixStream, mut to: UnixStream, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    // Whoever is killed breaks its connections.
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
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
    let from = format!("unix://{}", source.host().socket().display());
    let mut changes = 0;
    let code = loop {
        let mut migrate = target.host().command(program("lichen"));
        migrate.args(["migrate", "--from", &from, "--to", &gate.address, "--apply", "--only", "volumes"]);
        match gate.run_until(changes, migrate) {
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

/// Podman's API, of the same user and with a store of its own.
struct Podman {
    service: Child,
    options: Vec<String>,
    socket: PathBuf,
}

impl Podman {
    fn start(host: &Host) -> Self {
        let below = |name: &str| host.path("podman").join(name).display().to_string();
        let options = ["--root", &below("root"), "--runroot", &below("run"), "--storage-driver", "vfs"];
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let socket = host.run().join("podman.sock");
        let log = std::fs::File::create(host.path("podman.log")).expect("a log");
        let service = host
            .command("podman")
            .args(&options)
            .args(["system", "service", "--time", "0", &format!("unix://{}", socket.display())])
            .stderr(log)
            .spawn()
            .expect("start podman: cargo xtask prepare");
        wait_until("podman listens", || UnixStream::connect(&socket).ok());
        Self { service, options, socket }
    }

    fn run(&self, host: &Host, words: &[&str]) -> Output {
        let options = self.options.iter().map(String::as_str);
        host.run_command("podman", &options.chain(words.iter().copied()).collect::<Vec<_>>()).ok()
    }
}

impl Podman {
    /// The service, what it runs as in its namespace, and the process that keeps that.
    fn end(mut self, host: &Host) {
        wait_until("podman has ended", || {
            let left = host.processes().into_iter().filter(|p| p.command.starts_with("podman"));
            let left: Vec<u32> = left.map(|p| p.pid).collect();
            left.iter().for_each(|pid| kill_9(*pid));
            left.is_empty().then_some(())
        });
        self.service.wait().expect("reap podman");
    }
}

/// A volume's contents, in an archive.
fn pack(host: &Host, to: &Path) {
    let tree = host.write("tree/sub/file", "hello");
    let tree = tree.ancestors().nth(2).expect("the tree");
    let (to, tree) = (to.display().to_string(), tree.display().to_string());
    host.run_command("tar", &["-cf", &to, "--owner=33", "--group=44", "-C", &tree, "sub"]).ok();
}

#[test]
fn rootless_podmans_images_volumes_and_containers_come_along() {
    let engine = Engine::start();
    let host = engine.host();
    let podman = Podman::start(host);
    let podman_runs = |words: &[&str]| podman.run(host, words).text().to_owned();
    podman_runs(&["load", "--quiet", "--input", &archive("busybox").display().to_string()]);
    podman_runs(&["tag", "busybox", "example.com/web:1"]);
    podman_runs(&["volume", "create", "--label", "kind=data", "data"]);
    let tar = host.path("data.tar");
    pack(host, &tar);
    podman_runs(&["volume", "import", "data", &tar.display().to_string()]);
    let create = ["create", "--name", "web", "--network", "none", "-v", "data:/srv", "-e", "A=1"];
    podman_runs(
        &[&create[..], &["--restart", "on-failure:3", "example.com/web:1", "sleep", "1000"]].concat(),
    );

    let from = format!("unix://{}", podman.socket.display());
    let plan = engine.lichen(&["migrate", "--from", &from]).ok();
    for line in
        ["volume     data  copy", "data: Podman's API does not tell who owns files", "container  web  create"]
    {
        assert!(plan.stdout.contains(line), "{line:?}: {plan}");
    }
    engine.lichen(&["migrate", "--from", &from, "--apply"]).ok();
    let format = "{{.Config.Image}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{index .Config.Cmd 0}}";
    engine.docker(&["inspect", "web", "--format", format]).ok().prints("example.com/web:1 3 sleep");
    engine.docker(&["start", "web"]).ok();
    let seen = ["exec", "web", "sh", "-c", "cat /srv/sub/file; echo $A"];
    engine.docker(&seen).ok().prints("hello1");
    // What the plan says to do where owners matter.
    podman_runs(&["volume", "export", "data", "--output", &tar.display().to_string()]);
    let bind = format!("{}:/data.tar:ro", tar.display());
    let unpack = "tar -C /srv -xf /data.tar && stat -c '%u %g' /srv/sub/file";
    let run = ["run", "--rm", "-v", &bind, "-v", "data:/srv", "example.com/web:1", "sh", "-c", unpack];
    engine.docker(&run).ok().prints("33 44");
    engine.docker(&["volume", "inspect", "data", "--format", "{{.Labels.kind}}"]).ok().prints("data");
    engine.lichen(&["migrate", "--from", &from, "--apply"]).ok();
    assert_eq!(podman_runs(&["ps", "-a", "--format", "{{.Names}}"]), "web", "nothing of the work is left");
    podman.end(host);
    // Its files belong to subordinate IDs.
    engine.lichen(&["nsenter", "rm", "-rf", &host.path("podman").display().to_string()]).ok();
}
