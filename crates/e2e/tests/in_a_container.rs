//! The engine in a container, as UID 1000 of it.

use e2e::{Engine, Host, Output};
use std::process::Command;

const USER: &str = "useradd -m -u 1000 user && echo user:1001:64535 | tee /etc/subuid >/etc/subgid && \
    install -d -o 1000 -g 1000 -m 700 /run/user/1000 && \
    install -d -o 1000 -g 1000 /home/user/.local /home/user/.local/share /home/user/.local/share/lichen && \
    chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap && \
    setcap cap_setuid+ep /usr/bin/newuidmap && setcap cap_setgid+ep /usr/bin/newgidmap";

const START: &str = "cd; lichen daemon >log 2>&1 & while ! lichen version >/dev/null 2>&1; do \
                     kill -0 $! 2>/dev/null || { cat log; exit 3; }; sleep 0.1; done; ";

/// Serves a page from a container of the inner engine, and tells the storage driver.
const SERVE: &str = "lichen load -q -i /busybox.tar && \
    lichen run -d --name web -p 8080:80 busybox sh -c 'mkdir /w; echo served >/w/index.html; httpd -f -h /w' && \
    for n in $(seq 100); do \
        { exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && tail -n 1 <&3; } 2>/dev/null | \
            grep -x served && break; sleep 0.1; done; \
    lichen info --format '{{.Driver}}{{range .Warnings}} {{.}}{{end}}'; \
    lichen rm -f web";

/// Fetches a page of the outer engine's from a container of the inner one.
const FETCH: &str = "lichen load -q -i /busybox.tar && \
    fetch() { printf 'GET / HTTP/1.0\\r\\n\\r\\n' | lichen run --rm -i busybox nc -w 10 10.91.5.9 80 | tail -n 1; }; \
    for n in $(seq 10); do fetch | grep outside && exit; sleep 0.2; done; exit 4";

const OPEN: [&str; 4] = ["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"];

/// An overlay's upper layer cannot be on another overlay.
const VOLUME: [&str; 2] = ["-v", "data:/home/user/.local/share/lichen"];

/// Makes the image `nested` of `debian`: what the engine needs of its host, and a user. `outer` runs a client of the
/// engine outside; `options` are what its containers are created with.
fn make_image(outer: &dyn Fn(&[&str]) -> Output, debian: &str, options: &[&str]) {
    outer(&[&["create", "--name", "made"], options, &[debian, "sh", "-c", USER]].concat()).ok();
    for program in ["/usr/bin/newuidmap", "/usr/bin/newgidmap", "/usr/sbin/setcap", LIBCAP] {
        let file = std::fs::canonicalize(program).unwrap_or_else(|e| panic!("{program}: {e}"));
        outer(&["cp", &file.display().to_string(), &format!("made:{program}")]).ok();
    }
    outer(&["start", "-a", "made"]).ok();
    outer(&["commit", "made", "nested"]).ok();
}

const LIBCAP: &str = "/lib/x86_64-linux-gnu/libcap.so.2";

fn run(outer: &dyn Fn(&[&str]) -> Output, options: &[&str], script: &str) -> Output {
    let user =
        ["run", "--rm", "--user", "1000", "-e", "HOME=/home/user", "-e", "XDG_RUNTIME_DIR=/run/user/1000"];
    let script = format!("{START}{script}");
    // Bound, because copies of programs with all their symbols take longer than the test.
    let programs = e2e::program("lichen").parent().expect("an absolute path").display().to_string();
    let archive = e2e::archive("busybox");
    let binds = [format!("{programs}:/lichen:ro"), format!("{}:/busybox.tar:ro", archive.display())];
    let bound = ["-v", &binds[0], "-v", &binds[1], "-e", "PATH=/lichen:/usr/bin:/bin"];
    outer(&[&user[..], &bound[..], options, &["nested", "bash", "-c", &script]].concat())
}

#[test]
fn an_engine_runs_in_a_container_and_says_what_it_lacks_there() {
    let engine = Engine::start();
    engine.load("debian");
    let outer = |words: &[&str]| engine.docker(words);
    let debian = outer(&["images", "--format", "{{.Repository}}:{{.Tag}}", "debian"]).ok();
    make_image(&outer, debian.text(), &[]);
    let refused = |options: &[&str], reason: &str| {
        let output = run(&outer, options, "").exits(3);
        assert!(output.stdout.contains(reason), "{output}");
    };
    refused(&[], "--security-opt seccomp=unconfined");
    refused(&OPEN[..2], "--security-opt systempaths=unconfined");
    let strict = [&OPEN[..], &["--security-opt", "no-new-privileges"]].concat();
    refused(&strict, "no-new-privileges is set for this process");

    let on_layer = run(&outer, &OPEN, SERVE).ok();
    assert!(on_layer.stdout.contains("served\nvfs"), "{on_layer}");
    let on_volume = run(&outer, &[&OPEN[..], &VOLUME[..]].concat(), SERVE).ok();
    assert!(on_volume.stdout.contains("served\noverlay2"), "{on_volume}");
    assert!(on_volume.stdout.contains("cannot reach the outside"), "{on_volume}");

    engine.load("busybox");
    outer(&["network", "create", "--subnet", "10.91.5.0/24", "yard"]).ok();
    let page = "mkdir /w; echo outside >/w/index.html; httpd -f -h /w";
    outer(&["run", "-d", "--ip", "10.91.5.9", "--network", "yard", "busybox", "sh", "-c", page]).ok();
    let options = [&OPEN[..], &VOLUME[..], &["--network", "yard", "--device", "/dev/net/tun"]].concat();
    let out = run(&outer, &options, FETCH).ok();
    assert!(out.stdout.contains("outside\n"), "{out}");
}

/// Podman as root, with a store of its own. It runs containers by runc, because crun ends with [`HYBRID`] where the
/// cgroup2 hierarchy is mounted beside those of version 1 and has controllers (its message goes on: drop all
/// controllers from cgroupv2).
struct Rootful(Host);

impl Rootful {
    fn run(&self, words: &[&str]) -> Output {
        let below = |name: &str| self.0.path("podman").join(name);
        let mut command = Command::new("podman");
        command.arg("--root").arg(below("root")).arg("--runroot").arg(below("run"));
        command
            .args([
                "--storage-driver",
                storage_driver(&self.0),
                "--cgroup-manager",
                "cgroupfs",
                "--runtime",
                "runc",
            ])
            .args(words);
        let output = command.output().expect("start podman: cargo xtask prepare");
        Output::of(format!("podman {}", words.join(" ")), output)
    }
}

/// crun's words.
const HYBRID: &str = "cgroups in hybrid mode not supported";

/// Overlays copy nothing, and do not lie on each other.
fn storage_driver(host: &Host) -> &'static str {
    const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;
    let place = rustix::fs::statfs(host.home()).expect("statfs");
    if u64::try_from(place.f_type) == Ok(OVERLAYFS_SUPER_MAGIC) { "vfs" } else { "overlay" }
}

#[test]
fn an_engine_runs_in_rootful_podman() {
    let podman = Rootful(Host::new());
    let outer = |words: &[&str]| podman.run(words);
    outer(&["load", "--quiet", "--input", &e2e::archive("debian").display().to_string()]).ok();
    let debian = outer(&["images", "--noheading", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    // Podman asks for its own hard limits (containers.conf(5), default_ulimits); to raise one takes CAP_SYS_RESOURCE
    // (setrlimit(2)), which root of a container need not have.
    let options = ["--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
    let alone = outer(&[&["run", "--rm"], &options[..], &[debian.text(), "true"]].concat());
    if alone.stderr.contains(HYBRID) {
        eprintln!(
            "skipped: podman's runtime needs cgroup v2 alone, or v1 beside a cgroup2 without controllers"
        );
        return;
    }
    alone.ok();
    make_image(&outer, debian.text(), &options);
    let without = run(&outer, &[&options[..], &OPEN[..2]].concat(), "").exits(3);
    assert!(without.stdout.contains("--security-opt systempaths=unconfined"), "{without}");
    let within = run(&outer, &[&options[..], &OPEN[..], &VOLUME[..]].concat(), SERVE).ok();
    assert!(within.stdout.contains("served\noverlay2"), "{within}");
    outer(&["rm", "--all", "--force"]).ok();
}
