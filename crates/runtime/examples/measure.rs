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
    if spec.linux().as_ref().is_some_and(|l| l.seccomp().is_none()) {
        confine(&mut spec);
    }
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
    let (pidfd, process, filter) = (created.pidfd, created.process, created.seccomp);
    created.pending.start().expect("start");
    command(&mut spec, &["/bin/true"]);
    let options = ExecOptions {
        init: pidfd.as_fd(),
        init_process: process,
        process: spec.process().as_ref().expect("a process"),
        seccomp: filter.as_ref(),
        stdio: Stdio::Fds { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() },
        preserve_fds: 0,
        bypass: false,
        cgroup: &Cgroup::none("measured without"),
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

/// Docker's default rules.
fn confine(spec: &mut Spec) {
    let sets = spec.process().as_ref().and_then(|p| p.capabilities().clone()).unwrap_or_default();
    let bounding = sets.bounding().clone().unwrap_or_default();
    let rules = spec::seccomp::default_filter(&spec::seccomp::Conditions::here(&bounding)).expect("rules");
    let started = Instant::now();
    let filter =
        runtime::seccomp::load(&rules, None).expect("compile rules").expect("not everything is allowed");
    let compiled = started.elapsed();
    let cache = std::env::temp_dir();
    runtime::seccomp::load(&rules, Some(&cache)).expect("fill the cache");
    let started = Instant::now();
    runtime::seccomp::load(&rules, Some(&cache)).expect("read the cache");
    println!(
        "seccomp: {} instructions compiled in {:.2} ms, read in {:.2} ms",
        filter.program().len() / 8,
        compiled.as_secs_f64() * 1e3,
        started.elapsed().as_secs_f64() * 1e3
    );
    spec.linux_mut().as_mut().expect("a container").set_seccomp(Some(rules));
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
        mounts: &[],
        netns: None,
        stdio: Stdio::Fds { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() },
        preserve_fds: 0,
        bypass: false,
        cgroup: &Cgroup::none("measured without"),
        seccomp_cache: Some(cache),
        gate: StartGate::Socket,
    };
    (runtime::create(&options).expect("create"), null)
}

/// Wall clock, and processor time of this process and the children it has waited for: the second is what a busy
/// machine does not change.
fn report(what: &str, count: usize, mut once: impl FnMut()) {
    let before = processor_time();
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed()
        })
        .collect();
    let used = (processor_time() - before).as_secs_f64() * 1e3 / count as f64;
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
    println!("{what:24} median {:.2} ms, 10 % below {:.2}, processor {used:.2}", at(50), at(10));
}

fn processor_time() -> Duration {
    use nix::sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike,
    };
    let of = |who| {
        let usage = getrusage(who).expect("getrusage");
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    };
    Duration::from_micros((of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)) as u64)
}

const SPEC: &str = include_str!("measure.json");
