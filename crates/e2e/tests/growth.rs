//! Starting and stopping, again and again: nothing grows.
//!
//! `LICHEN_TEST_CYCLES` says how often (1000 for a thorough run).

use e2e::{Engine, wait_until};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Cycles of an ordinary run.
const CYCLES: usize = 30;
/// Memory that allocators keep and caches fill, whatever the number of cycles.
const SLACK_KIB: u64 = 16 << 10;
/// Overlapping work opens a connection once and for all; what leaks does so in each round.
const ROUNDS: usize = 3;
/// How long what ended may take to be let go.
const LET_GO: Duration = Duration::from_secs(15);

/// What an engine at rest has. Everything but memory is to be the same afterwards.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    /// Arguments of each process, with how many descriptors it has of each kind.
    processes: Vec<(String, BTreeMap<String, usize>)>,
    /// In the engine's mount namespace.
    mounts: usize,
    namespaces: usize,
    /// In the router namespace.
    interfaces: Vec<String>,
    /// In the run directory and the data root; the container's own tree, which is its business, apart.
    files: BTreeSet<PathBuf>,
}

fn counts(engine: &Engine) -> Counts {
    let ours = engine.host().processes();
    let mut namespaces = BTreeSet::new();
    let mut processes = Vec::new();
    for process in &ours {
        let proc = PathBuf::from(format!("/proc/{}", process.pid));
        let targets = |dir: &str| -> Vec<PathBuf> {
            let entries = fs::read_dir(proc.join(dir)).into_iter().flatten().flatten();
            entries.filter_map(|e| fs::read_link(e.path()).ok()).collect()
        };
        let open = targets("fd");
        let mut kinds = BTreeMap::new();
        for target in &open {
            *kinds.entry(kind(target)).or_default() += 1;
        }
        processes.push((process.command.clone(), kinds));
        let is_namespace = |target: &PathBuf| target.to_string_lossy().contains(":[4");
        namespaces.extend(open.into_iter().chain(targets("ns")).filter(is_namespace));
    }
    processes.sort();
    let mountinfo = fs::read_to_string(format!("/proc/{}/mountinfo", engine.pid())).expect("read mountinfo");
    let mut files = BTreeSet::new();
    list(&engine.host().run(), &mut files);
    list(&engine.host().data(), &mut files);
    Counts {
        processes,
        mounts: mountinfo.lines().count(),
        namespaces: namespaces.len(),
        interfaces: interfaces(engine),
        files,
    }
}

/// `socket:[1234]` is a socket, whatever its number.
fn kind(target: &Path) -> String {
    let target = target.to_string_lossy();
    target.split_once(":[").map_or(&*target, |(kind, _)| kind).to_owned()
}

fn list(dir: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|t| t.is_dir()) && !path.ends_with("diff") {
            list(&path, files);
        }
        files.insert(path);
    }
}

/// Those of /proc/net/dev, read in the router namespace. Spare pairs are as many as before, under other names.
fn interfaces(engine: &Engine) -> Vec<String> {
    let run = engine.host().run().join("lichen/router.net");
    let router = format!("/proc/{}/root{}", engine.pid(), run.display());
    let output = Command::new("nsenter")
        .args([&format!("--net={router}"), "cat", "/proc/net/dev"])
        .output()
        .expect("start nsenter");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    let mut names: Vec<String> =
        names.map(|name| if name.starts_with("veth") { "veth".into() } else { name }).collect();
    names.sort();
    assert!(names.iter().any(|name| name == "lo"), "{output:?}");
    names
}

fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("read status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn cycle(engine: &Engine, times: usize) {
    let script = "for i in $(seq \"$2\"); do \"$1\" start c1 >/dev/null && \"$1\" stop -t 0 c1 >/dev/null || exit 1; \
                  \"$1\" run --rm -p 127.0.0.1:0:80 busybox true || exit 1; done";
    let lichen = e2e::program("lichen");
    let arguments = ["-c", script, "sh", lichen.to_str().expect("a UTF-8 path"), &times.to_string()];
    engine.host().run_command("sh", &arguments).ok();
}

/// As `before`, or what it is when what ended had time to be let go.
fn settled(engine: &Engine, before: &Counts) -> Counts {
    let deadline = Instant::now() + LET_GO;
    loop {
        let now = counts(engine);
        if now == *before || Instant::now() > deadline {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn starting_and_stopping_over_and_over_makes_nothing_grow() {
    let cycles = std::env::var("LICHEN_TEST_CYCLES").map_or(CYCLES, |n| n.parse().expect("a number"));
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["create", "--name", "c1", "-v", "v1:/v", "busybox", "sleep", "1000"]).ok();
    cycle(&engine, 5);
    let before = wait_until("the engine is at rest", || {
        let one = counts(&engine);
        std::thread::sleep(Duration::from_millis(200));
        (one == counts(&engine)).then_some(one)
    });
    let memory_before = memory_kib(engine.pid());
    let mut before = before;
    for round in 1.. {
        cycle(&engine, cycles);
        let after = settled(&engine, &before);
        if after == before {
            break;
        }
        assert!(round < ROUNDS, "each {cycles} cycles make something grow: {before:#?}\n{after:#?}");
        before = after;
    }
    let memory = memory_kib(engine.pid());
    eprintln!("{cycles} cycles: engine's memory {memory_before} KiB, then {memory} KiB");
    assert!(
        memory <= memory_before + SLACK_KIB,
        "{memory_before} KiB became {memory} KiB in {cycles} cycles"
    );
}
