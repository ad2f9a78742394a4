//! Both clients against the same engine: docker's own and this one must print the same and end with the same code.
//!
//! The engine is a thread that answers with canned JSON. On a machine without docker's client these tests are
//! skipped, and say so.

mod data;
mod server;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use server::Server;

/// docker's client, or none: then the name of what is missing is printed.
fn docker() -> Option<PathBuf> {
    let found =
        ["/usr/local/bin/docker", "/usr/bin/docker"].iter().map(PathBuf::from).find(|path| path.exists());
    let works = found
        .filter(|path| Command::new(path).arg("--version").output().is_ok_and(|out| is_dockers(&out.stdout)));
    if works.is_none() {
        eprintln!("skipped: docker's client (docker-cli) is not installed");
    }
    works
}

fn is_dockers(version: &[u8]) -> bool {
    let text = String::from_utf8_lossy(version);
    text.starts_with("Docker version 28.") && !text.contains("lichen")
}

/// This client under the name `docker`, so that messages agree.
fn ours(dir: &Path) -> PathBuf {
    let tests = std::env::current_exe().expect("path of the test");
    let client = tests.parent().and_then(Path::parent).expect("target directory").join("examples/client");
    assert!(client.exists(), "build it first: cargo build -p cli --example client");
    let link = dir.join("docker");
    symlink(client, &link).expect("link to the client");
    link
}

struct Bench {
    docker: PathBuf,
    ours: PathBuf,
    server: Server,
    dir: tempfile::TempDir,
    /// What every client reads.
    stdin: PathBuf,
}

impl Bench {
    fn new() -> Option<Self> {
        let docker = docker()?;
        let dir = tempfile::tempdir().expect("temporary directory");
        let server = Server::start(&dir.path().join("engine.sock"));
        let stdin = dir.path().join("stdin");
        std::fs::write(&stdin, "typed\n".repeat(50_000)).expect("standard input");
        Some(Self { docker, ours: ours(dir.path()), server, dir, stdin })
    }

    fn run(&self, program: &Path, words: &[&str]) -> Output {
        let stdin = std::fs::File::open(&self.stdin).expect("standard input");
        Command::new(program)
            .stdin(stdin)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("DOCKER_CONFIG", self.dir.path().join("config"))
            .env("DOCKER_HOST", format!("unix://{}", self.server.socket.display()))
            .env("TZ", "UTC")
            .output()
            .expect("run a client")
    }

    /// Standard output, standard error and the exit code must agree; what does not is told for all lines at once.
    #[track_caller]
    fn all_same(&self, lines: &[&[&str]]) {
        let shown = |out: Output| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("{}\nstderr: {}\ncode: {:?}", text(&out.stdout), text(&out.stderr), out.status.code())
        };
        let mut different = String::new();
        for words in lines {
            let (theirs, mine) = (shown(self.run(&self.docker, words)), shown(self.run(&self.ours, words)));
            if mine != theirs {
                different.push_str(&format!("\n{words:?}\nours:   {mine}\ntheirs: {theirs}\n"));
            }
        }
        assert!(different.is_empty(), "{different}");
    }
}

macro_rules! bench {
    () => {
        match Bench::new() {
            Some(bench) => bench,
            None => return,
        }
    };
}

#[test]
fn ps() {
    bench!().all_same(&[
        &["ps"],
        &["ps", "-a"],
        &["ps", "-q"],
        &["ps", "--no-trunc"],
        &["ps", "-s"],
        &["ps", "--format", "json"],
        &["ps", "--format", "{{json .}}", "--no-trunc"],
        &["ps", "--format", "table"],
        &["ps", "--format", "raw"],
        &["ps", "--format", "table {{.Names}}\\t{{.Status}}\\t{{.Label \"com.example.my-label\"}}"],
        &[
            "ps",
            "--format",
            "{{.ID}}: {{upper .Image}} {{.Size}} {{.Mounts}} {{.Networks}} {{.LocalVolumes}}",
        ],
        &["ps", "--format", "table {{.Labels}}\\t{{.CreatedAt}}\\t{{.State}}"],
        &["ps", "--format", "{{range split .Names \",\"}}<{{.}}>{{end}}{{if eq .State \"running\"}}!{{end}}"],
        &["container", "ls", "-n", "2"],
        &["ps", "-f", "status=exited", "-l"],
    ]);
}

#[test]
fn images() {
    bench!().all_same(&[
        &["images"],
        &["images", "-q"],
        &["images", "--no-trunc"],
        &["images", "--digests"],
        &["images", "--format", "json"],
        &["image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.Size}} {{.CreatedAt}} {{.SharedSize}} {{.UniqueSize}} {{.Containers}} {{.Digest}}"],
        &["images", "alpine"],
        &["history", "alpine"],
        &["history", "--no-trunc", "alpine"],
        &["history", "-q", "alpine"],
        &["history", "--human=false", "alpine"],
        &["history", "--format", "json", "alpine"],
        &["image", "inspect", "alpine"],
        &["image", "inspect", "-f", "{{.Architecture}} {{.RootFS.Layers}} {{json .Config.Env}}", "alpine"],
        &["rmi", "alpine"],
        &["rmi", "nope"],
        &["rmi", "-f", "nope"],
        &["tag", "alpine", "other:1"],
        &["tag", "alpine", "Bad:1"],
    ]);
}

#[test]
fn inspect() {
    bench!().all_same(&[
        &["inspect", "web"],
        &["container", "inspect", "web"],
        &["inspect", "web", "nope"],
        &["inspect", "nope"],
        &["inspect", "-f", "{{.ID}}", "nope"],
        &["container", "inspect", "nope"],
        &["inspect", "--type", "container", "nope"],
        &["inspect", "-f", "{{.State.Status}} {{.State.Pid}} {{.Config.Env}} {{.Config.Labels}}", "web"],
        &["inspect", "-f", "{{if .State.Health}}healthy{{else}}none{{end}}", "web"],
        &[
            "inspect",
            "-f",
            "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}} {{end}}",
            "web",
        ],
        &[
            "inspect",
            "-f",
            "{{range $p, $b := .NetworkSettings.Ports}}{{$p}}->{{(index $b 0).HostPort}} {{end}}",
            "web",
        ],
        &["inspect", "-f", "{{json .Mounts}}", "web"],
        &["inspect", "-f", "{{index .Config.Labels \"com.example.my-label\"}}", "web"],
        &["inspect", "-f", "{{.Nope}}", "web"],
        &["inspect", "-f", "{{.State.Nope}}", "web"],
        &[
            "inspect",
            "-f",
            "{{.HostConfig.PortBindings}} {{.HostConfig.CapAdd}} {{.HostConfig.PidsLimit}}",
            "web",
        ],
        &["inspect", "-f", "{{.Config.Cmd}} {{.Config.Entrypoint}} {{.Config.Volumes}}", "web"],
        &["inspect", "-f", "{{printf \"%.12s\" .ID}} {{len .Config.Env}} {{join .Config.Env \";\"}}", "web"],
        &["inspect", "-f", "{{.Foo", "web"],
        &["inspect", "-f", "{{nope .}}", "web"],
        &["inspect", "--type", "wrong", "web"],
        &["network", "inspect", "bridge"],
        &["network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}}{{end}} {{.Driver}}", "bridge"],
        &["volume", "inspect", "data"],
        &["volume", "inspect", "-f", "{{.Mountpoint}} {{.Labels}}", "data"],
        &["volume", "inspect", "nope"],
    ]);
}

#[test]
fn volumes_and_networks() {
    bench!().all_same(&[
        &["volume", "ls"],
        &["volume", "ls", "-q"],
        &["volume", "ls", "--format", "json"],
        &["volume", "ls", "--format", "table {{.Name}}\\t{{.Mountpoint}}\\t{{.Labels}}\\t{{.Scope}}"],
        &["volume", "create", "data"],
        &["volume", "rm", "data"],
        &["volume", "rm", "nope", "data"],
        &["volume", "prune", "-f"],
        &["network", "ls"],
        &["network", "ls", "--no-trunc"],
        &["network", "ls", "-q"],
        &["network", "ls", "--format", "json"],
        &["network", "ls", "--format", "table {{.Name}}\\t{{.IPv6}}\\t{{.Internal}}\\t{{.CreatedAt}}"],
        &["network", "create", "--subnet", "10.1.0.0/16", "--gateway", "10.1.0.1", "n1"],
        &["network", "create", "--gateway", "10.1.0.1", "n1"],
        &["network", "rm", "n1"],
        &["network", "connect", "--ip", "10.1.0.2", "n1", "web"],
        &["network", "prune", "-f"],
    ]);
}

#[test]
fn system() {
    bench!().all_same(&[
        &["system", "df"],
        &["system", "df", "-v"],
        &["system", "df", "--format", "json"],
        &["system", "df", "--format", "{{.Type}}: {{.Size}} {{.Reclaimable}}"],
        &[
            "version",
            "-f",
            "{{.Server.Version}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Server.Os}}",
        ],
        &["version", "-f", "{{json .Server}}"],
        &["info", "-f", "{{.ServerVersion}} {{.Driver}} {{.CgroupVersion}} {{.SecurityOptions}} {{.NCPU}}"],
        &["info", "-f", "{{json .Plugins}} {{json .Runtimes}}"],
        &["events", "--until", "1700000000"],
        &["events", "--until", "1700000000", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"],
        &["events", "--until", "1700000000", "--format", "json"],
        &[
            "events",
            "--until",
            "1700000000",
            "--format",
            "{{.ID}} {{.Actor.ID}} {{.Actor.Attributes.nope}} {{.Status}}",
        ],
        &[
            "info",
            "-f",
            "{{.Swarm.LocalNodeState}} {{range $name, $_ := .Runtimes}}{{$name}} {{end}}{{.Runtimes.nope}}",
        ],
        &["system", "prune", "-f"],
        &["container", "prune", "-f"],
        &["image", "prune", "-af"],
        &["stats", "--no-stream"],
        &["stats", "--no-stream", "--format", "json", "web"],
        &["stats", "--no-stream", "--format", "table {{.Container}}\\t{{.MemPerc}}", "web"],
        &["search", "busybox"],
    ]);
}

#[test]
fn what_the_engine_says_of_itself() {
    let bench = bench!();
    let server_part = |program: &Path, words: &[&str]| {
        let out = bench.run(program, words);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        (text.split_once("Server:").map(|(_, server)| server.to_owned()), errors, out.status.code())
    };
    for words in [&["info"][..], &["version"]] {
        assert_eq!(server_part(&bench.ours, words), server_part(&bench.docker, words), "{words:?}");
    }
}

#[test]
fn containers() {
    bench!().all_same(&[
        &["start", "web"],
        &["start", "web", "nope"],
        &["stop", "web", "nope"],
        &["stop", "-t", "3", "web"],
        &["kill", "-s", "HUP", "web"],
        &["restart", "web"],
        &["pause", "web"],
        &["unpause", "web"],
        &["rename", "web", "new"],
        &["wait", "web"],
        &["rm", "web"],
        &["rm", "nope"],
        &["rm", "-f", "nope"],
        &["top", "web"],
        &["port", "web"],
        &["port", "web", "80"],
        &["port", "web", "99/udp"],
        &["diff", "web"],
        &["logs", "web"],
        &["commit", "web", "new:1"],
        &["update", "--memory", "1g", "web"],
        &["update", "web"],
        &["create", "alpine", "true"],
        &["create", "nope", "true"],
        &["run", "-d", "alpine", "true"],
        &["run", "-d", "--pull", "never", "nope", "true"],
        &["attach", "nope"],
        &["attach", "stopped"],
    ]);
}

#[test]
fn attached() {
    bench!().all_same(&[
        &["run", "alpine", "true"],
        &["run", "-i", "alpine", "cat"],
        &["run", "--rm", "-i", "alpine", "cat"],
        &["run", "-a", "stderr", "alpine", "true"],
        &["run", "-a", "stdin", "-a", "stdout", "-i", "alpine", "cat"],
        &["run", "-it", "alpine", "sh"],
        &["start", "-a", "web"],
        &["attach", "web"],
        &["exec", "web", "true"],
        &["exec", "-i", "reader", "cat"],
        &["exec", "-d", "web", "true"],
        &["exec", "-it", "web", "sh"],
        &["exec", "nope", "true"],
    ]);
}

#[test]
fn wrong_words() {
    bench!().all_same(&[
        &["run", "--foo"],
        &["run"],
        &["ps", "--foo"],
        &["ps", "x"],
        &["rm"],
        &["tag", "a"],
        &["foo"],
        &["volume", "foo"],
        &["ps", "--last", "x"],
        &["run", "--rm=foo", "x"],
        &["run", "--memory=zz", "x"],
        &["run", "-m"],
        &["run", "-x", "y"],
        &["run", "--blkio-weight", "99999999", "x"],
        &["run", "--health-interval", "x", "x"],
        &["run", "--cpus", "a", "x"],
        &["run", "--ulimit", "foo", "x"],
        &["run", "--sysctl", "x", "y"],
        &["run", "--mount", "foo", "y"],
        &["run", "--mount", "type=bind,target=/x,colour=red", "y"],
        &["run", "--mount", "type=bind", "y"],
        &["run", "--gpus", "x=1", "y"],
        &["run", "-p", "a:b:c:d:e", "y"],
        &["run", "-p", "1-2:3-5", "y"],
        &["run", "-p", "x:80", "y"],
        &["run", "--network", "name=a,foo=b", "y"],
        &["run", "--attach", "foo", "x"],
        &["run", "--rm", "--restart", "always", "x"],
        &["run", "--restart", "on-failure:x", "x"],
        &["run", "--device", "foo", "x"],
        &["run", "--device-cgroup-rule", "foo", "x"],
        &["run", "--add-host", "foo", "x"],
        &["run", "--dns", "foo", "x"],
        &["run", "--pid", "foo", "x"],
        &["run", "--uts", "foo", "x"],
        &["run", "--cgroupns", "foo", "x"],
        &["run", "--memory-swappiness", "101", "x"],
        &["run", "--no-healthcheck", "--health-cmd", "x", "x"],
        &["run", "--env-file", "/nonexistent", "x"],
        &["run", "--link", "a:b:c", "x"],
        &["run", "--storage-opt", "x", "y"],
        &["run", "--security-opt", "x", "y"],
        &["run", "--log-driver", "none", "--log-opt", "a=b", "y"],
        &["run", "--network", "a", "--network", "host", "y"],
        &["run", "--network-alias", "a", "y"],
        &["run", "--mac-address", "foo", "--network", "n", "y"],
        &["run", "--pull", "foo", "x"],
        &["run", "-d", "-a", "stdout", "x"],
        &["run", "UPPER", "x"],
        &["create", "-e", "=x", "y"],
        &["exec", "web"],
        &["ps", "-f", "x"],
        &["ps", "--format", "{{.Foo"],
        &["ps", "--format", "{{.Foo}}"],
        &["ps", "--format", "{{nope .}}"],
        &["ps", "--format", "{{join .Names}}"],
        &["rename", "a"],
        &["port"],
        &["logs"],
        &["logs", "a", "b"],
        &["stop", "-t", "x", "y"],
        &["-c", "foo", "ps"],
        &["-H", "foo://x", "ps"],
        &["--foo"],
        &["cp", "a", "b"],
        &["cp", "a:x", "b:x"],
        &["pull", "Bad"],
        &["pull", "-a", "x:1"],
        &["context", "use", "nope"],
        &["context", "rm", "nope"],
        &["network", "create"],
    ]);
}

#[test]
fn contexts() {
    let bench = bench!();
    let lines: [&[&str]; 7] = [
        &["context", "ls"],
        &["context", "show"],
        &["context", "create", "my-ctx", "--description", "d", "--docker", "host=unix:///tmp/x.sock"],
        &["context", "ls", "--format", "json"],
        &["context", "inspect", "my-ctx", "-f", "{{.Name}} {{.Endpoints.docker.Host}}"],
        &["context", "use", "my-ctx"],
        &["context", "rm", "-f", "my-ctx"],
    ];
    // Each client starts from the same store, and leaves it as the other does.
    let play = |program: &Path| {
        let config = bench.dir.path().join("config");
        drop(std::fs::remove_dir_all(&config));
        lines.map(|words| {
            let out = bench.run(program, words);
            (
                String::from_utf8_lossy(&out.stdout).into_owned(),
                String::from_utf8_lossy(&out.stderr).into_owned(),
                out.status.code(),
            )
        })
    };
    let (theirs, mine) = (play(&bench.docker), play(&bench.ours));
    for (words, (mine, theirs)) in lines.iter().zip(mine.iter().zip(&theirs)) {
        assert_eq!(mine, theirs, "{words:?}, ours and theirs");
    }
}

/// Both clients must ask the engine for the same container.
#[test]
fn create_requests() {
    let bench = bench!();
    let mut different = String::new();
    for words in data::CREATE_LINES {
        let words: Vec<_> = words.split_whitespace().collect();
        let body = |program: &Path| {
            bench.server.forget();
            bench.run(program, &words);
            data::comparable(bench.server.body_of("/containers/create"))
        };
        let (theirs, mine) = (body(&bench.docker), body(&bench.ours));
        if mine != theirs {
            different.push_str(&format!("\n{words:?}\nours:   {mine}\ntheirs: {theirs}\n"));
        }
    }
    assert!(different.is_empty(), "{different}");
}
