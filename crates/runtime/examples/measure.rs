//! Times create + start + exit of a program in a container, and an exec, against `unshare`.
//!
//! ```text
//! unshare -Urm --map-auto cargo run --release --example measure -- ROOTFS [COUNT] [SPEC.json]
//! ```
#![forbid(unsafe_code)]

use model::Rootfs;
use runtime::{Cgroup, CreateOptions, ExecOptions, StartGate, Stdio, oci_spec::runtime::Spec};
use std::{
    fs::File,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

fn main() {
    let mut args = std::env::args().skip(1);
    let rootfs = PathBuf::from(args.next().expect("usage: measure ROOTFS [COUNT] [SPEC.json]"));
    let count: usize = args.next().map_or(200, |n| n.parse().expect("COUNT is a number"));
    let json =
        args.next().map_or_else(|| SPEC.to_owned(), |p| std::fs::read_to_string(p).expect("read SPEC.json"));
    let mut spec: Spec = serde_json::from_str(&json).expect("SPEC.json is a specification");
    let cache = std::env::temp_dir();

    report("unshare -Urmpfnui true", count, || {
        let status = Command::new("unshare").args(["-Urmpfnui", "--mount-proc", "true"]).status();
        assert!(status.expect("run unshare").success());
    });
    report("create + start + exit", count, || run(&spec, &rootfs, &cache));

    let command = |spec: &mut Spec, line: &[&str]| {
        let process = spec.process_mut().as_mut().expect("a process");
        process.set_args(Some(line.iter().map(|a| (*a).to_owned()).collect()));
    };
    command(&mut spec, &["/bin/sleep", "1000"]);
    let (created, null) = create(&spec, &rootfs, &cache);
    let (pidfd, process) = (created.pidfd, created.process);
    created.pending.start().expect("start");
    command(&mut spec, &["/bin/true"]);
    let options = ExecOptions {
        init: pidfd.as_fd(),
        init_process: process,
        process: spec.process().as_ref().expect("a process"),
        seccomp: spec.linux().as_ref().and_then(|l| l.seccomp().as_ref()),
        stdio: Stdio::Fds { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() },
        preserve_fds: 0,
        cgroup: &Cgroup::none("measured without"),
        seccomp_cache: Some(&cache),
        listener: None,
        personality: None,
    };
    report("exec + exit", count, || {
        let executing = runtime::exec(&options).expect("exec");
        assert_eq!(sys::pidfd::wait(&executing.pidfd).expect("wait").code(), 0);
    });
    sys::pidfd::signal(&pidfd, 9).expect("kill");
    sys::pidfd::wait(&pidfd).expect("wait");
}

fn run(spec: &Spec, rootfs: &Path, cache: &Path) {
    let (created, _null) = create(spec, rootfs, cache);
    created.pending.start().expect("start");
    assert_eq!(sys::pidfd::wait(&created.pidfd).expect("wait").code(), 0);
}

fn create(spec: &Spec, rootfs: &Path, cache: &Path) -> (runtime::Created, File) {
    let null = File::options().read(true).write(true).open("/dev/null").expect("open /dev/null");
    let root = sys::overlay::mount_detached(&Rootfs::Dir { path: rootfs.to_owned() }).expect("mount root");
    let options = CreateOptions {
        id: "measured",
        bundle: Path::new("/"),
        spec,
        rootfs: root.as_fd().into(),
        netns: None,
        stdio: Stdio::Fds { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() },
        preserve_fds: 0,
        cgroup: &Cgroup::none("measured without"),
        seccomp_cache: Some(cache),
        gate: StartGate::Socket,
    };
    (runtime::create(&options).expect("create"), null)
}

fn report(what: &str, count: usize, mut once: impl FnMut()) {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed()
        })
        .collect();
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
    println!("{what:24} median {:.2} ms, 10 % below {:.2}, 90 % below {:.2}", at(50), at(10), at(90));
}

const SPEC: &str = include_str!("measure.json");
