//! From podman, rootless and of the same user.

use e2e::{Engine, Host, Output, Sshd, archive, kill_9, program, wait_until};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Child,
    sync::Arc,
};

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

    /// The service, what it runs as in its namespace, and the process that keeps that.
    fn end(mut self, host: &Host) {
        wait_until("podman has ended", || {
            let left = host.processes().into_iter().filter(|p| p.command.starts_with("podman"));
            let left: Vec<u32> = left.map(|p| p.pid).collect();
            left.iter().for_each(|pid| kill_9(*pid));
            left.is_empty().then_some(())
        });
        self.service.wait().expect("reap podman");
        // Its files belong to subordinate IDs.
        let tree = host.path("podman").display().to_string();
        host.run_command(program("lichen"), &["nsenter", "rm", "-rf", &tree]).ok();
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
    podman_runs(&["network", "create", "--subnet", "10.91.6.0/24", "--label", "a=b", "yard"]);
    let create = ["create", "--name", "web", "--network", "yard", "-v", "data:/srv", "-e", "A=1"];
    podman_runs(
        &[&create[..], &["--restart", "on-failure:3", "example.com/web:1", "sleep", "1000"]].concat(),
    );
    // crun starts nothing where both versions of cgroups are mounted.
    let run = ["--runtime", "/usr/sbin/runc", "run", "-d", "--name", "shop", "--network", "none"];
    podman_runs(&[&run[..], &["example.com/web:1", "sleep", "1000"]].concat());

    let from = format!("unix://{}", podman.socket.display());
    let plan = engine.lichen(&["migrate", "--from", &from]).ok();
    let owners = "data: the API of Podman before 5.6 does not tell who owns files";
    for line in [
        "network    yard  create",
        "volume     data  copy",
        owners,
        "container  web  create",
        "container  shop  create",
    ] {
        assert!(plan.stdout.contains(line), "{line:?}: {plan}");
    }
    engine.lichen(&["migrate", "--from", &from, "--apply", "--start"]).ok();
    let format = "{{.Config.Image}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{index .Config.Cmd 0}}";
    engine.docker(&["inspect", "web", "--format", format]).ok().prints("example.com/web:1 3 sleep");
    engine.docker(&["ps", "--format", "{{.Names}}"]).ok().prints("shop");
    let format = "{{(index .IPAM.Config 0).Subnet}} {{.Labels.a}}";
    engine.docker(&["network", "inspect", "yard", "--format", format]).ok().prints("10.91.6.0/24 b");
    engine.docker(&["start", "web"]).ok();
    let seen = ["exec", "web", "sh", "-c", "cat /srv/sub/file; echo $A; hostname -i | cut -d. -f1-3"];
    engine.docker(&seen).ok().prints("hello1\n10.91.6");
    // What the plan says to do where owners matter.
    podman_runs(&["volume", "export", "data", "--output", &tar.display().to_string()]);
    let bind = format!("{}:/data.tar:ro", tar.display());
    let unpack = "tar -C /srv -xf /data.tar && stat -c '%u %g' /srv/sub/file";
    let run = ["run", "--rm", "-v", &bind, "-v", "data:/srv", "example.com/web:1", "sh", "-c", unpack];
    engine.docker(&run).ok().prints("33 44");
    engine.docker(&["volume", "inspect", "data", "--format", "{{.Labels.kind}}"]).ok().prints("data");
    engine.lichen(&["migrate", "--from", &from, "--apply"]).ok();
    let left = podman_runs(&["ps", "-a", "--sort", "names", "--format", "{{.Names}}"]);
    assert_eq!(left.lines().collect::<Vec<_>>(), ["shop", "web"], "nothing of the work is left");
    podman_runs(&["rm", "-f", "-t", "0", "shop"]);
    podman.end(host);
}

#[test]
fn podmans_export_keeps_the_owners_and_ssh_finds_podman_alone() {
    let engine = Engine::start();
    let host = engine.host();
    let podman = Podman::start(host);
    let podman_runs = |words: &[&str]| podman.run(host, words).text().to_owned();
    podman_runs(&["load", "--quiet", "--input", &archive("busybox").display().to_string()]);
    podman_runs(&["volume", "create", "data"]);
    let tar = host.path("data.tar");
    pack(host, &tar);
    podman_runs(&["volume", "import", "data", &tar.display().to_string()]);
    // The first to mount a volume gives it the mode of the place where it is mounted.
    let first = [
        "--runtime",
        "/usr/sbin/runc",
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        "data:/d",
        "busybox",
        "true",
    ];
    podman_runs(&first);
    let place = podman_runs(&["volume", "inspect", "data", "--format", "{{.Mountpoint}}"]);
    podman_runs(&["unshare", "chmod", "2751", &place]);
    podman_runs(&["volume", "export", "data", "--output", &tar.display().to_string()]);

    let newer = answer_as_newer(&podman, host, std::fs::read(&tar).expect("read the export"));
    let plan = engine.lichen(&["migrate", "--from", &newer]).ok();
    assert!(plan.stdout.contains("volume     data  copy") && !plan.stdout.contains("who owns"), "{plan}");
    assert!(plan.stdout.contains("data: the directory itself gets the owner that Podman gave it"), "{plan}");
    engine.lichen(&["migrate", "--from", &newer, "--apply", "--only", "images,volumes"]).ok();
    let stat = "cd /d && stat -c '%u %g %a' . sub sub/file && cat sub/file";
    let seen = ["run", "--rm", "-v", "data:/d", "localhost/busybox", "sh", "-c", stat];
    engine.docker(&seen).ok().prints("0 0 2751\n33 44 755\n33 44 644\nhello");
    let again = engine.lichen(&["migrate", "--from", &newer, "--apply", "--only", "volumes"]).ok();
    assert!(again.stdout.contains("volume     data  the same is here already"), "{again}");

    host.write("remote-bin/.keep", "");
    let remote = host.path("remote-bin");
    std::os::unix::fs::symlink("/usr/bin/podman", remote.join("podman")).expect("link podman");
    let sshd = Sshd::start(host, &format!("{}:/bin", remote.display()));
    let from = format!("{}{}", sshd.url(), podman.socket.display());
    let mut command = host.command(program("lichen"));
    command.args(["migrate", "--from", &from]).env("PATH", Sshd::client_path(host));
    let plan = Output::of("migrate over ssh".to_owned(), command.output().expect("start lichen")).ok();
    assert!(plan.stdout.contains("(Podman Engine "), "{plan}");
    podman.end(host);
}

#[test]
fn podmans_image_without_a_name_is_copied_once_and_what_is_made_of_it_too() {
    let engine = Engine::start();
    let host = engine.host();
    let podman = Podman::start(host);
    let podman_runs = |words: &[&str]| podman.run(host, words).text().to_owned();
    podman_runs(&["load", "--quiet", "--input", &archive("busybox").display().to_string()]);
    podman_runs(&["create", "--name", "base", "busybox", "true"]);
    let image = podman_runs(&["commit", "--quiet", "--change", "ENV A=1", "base"]);
    podman_runs(&["create", "--name", "hermit", &image, "true"]);
    let from = format!("unix://{}", podman.socket.display());
    let migrate = || engine.lichen(&["migrate", "--from", &from, "--apply"]).ok();
    let first = migrate();
    assert!(first.stdout.contains("container  hermit  created"), "{first}");
    let environment = engine.docker(&["inspect", "hermit", "--format", "{{json .Config.Env}}"]).ok();
    assert!(environment.stdout.contains("A=1"), "{environment}");
    let again = migrate();
    assert!(again.stdout.contains("container  hermit  the same is here already"), "{again}");
    assert!(!again.stdout.contains("copied"), "{again}");
    podman.end(host);
}

/// Podman's API with the export of volumes that 5.6.0 has, played in front of an older one: nothing here is what 5.6.0
/// itself answers. What is exported is what the command line wrote, in every version; it is `archive` for every volume.
fn answer_as_newer(podman: &Podman, host: &Host, archive: Vec<u8>) -> String {
    let path = host.run().join("newer.sock");
    let listener = UnixListener::bind(&path).expect("listen");
    std::os::unix::fs::chown(&path, Some(host.uid()), None).expect("chown");
    let (archive, socket) = (Arc::new(archive), podman.socket.clone());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) =
                (client.expect("accept"), UnixStream::connect(&socket).expect("reach podman"));
            let (mut down, mut back) = (server.try_clone().expect("dup"), client.try_clone().expect("dup"));
            std::thread::spawn(move || std::io::copy(&mut down, &mut back));
            let archive = archive.clone();
            std::thread::spawn(move || answer(client, server, &archive));
        }
    });
    format!("unix://{}", path.display())
}

/// A client sends a request's head at once, and waits for the answer before the next.
fn answer(mut client: UnixStream, mut server: UnixStream, archive: &[u8]) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let line =
            String::from_utf8_lossy(buffer[..length].split(|b| *b == b'\r').next().unwrap_or_default());
        let written = match line
            .split_once("/libpod/volumes/")
            .and_then(|(_, rest)| rest.split_once("/export"))
        {
            Some(("-", _)) => {
                let body =
                    r#"{"cause":"no such volume","message":"volume with name - not found: no such volume"}"#;
                reply(&mut client, "404 Not Found", body.as_bytes())
            }
            Some(_) => reply(&mut client, "200 OK", archive),
            None => server.write_all(&buffer[..length]),
        };
        if written.is_err() {
            break;
        }
    }
    drop(server.shutdown(Shutdown::Both));
}

fn reply(client: &mut UnixStream, status: &str, body: &[u8]) -> std::io::Result<()> {
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    client.write_all(body)
}
