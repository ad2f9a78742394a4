//! The classes of escape that runtimes have had, each tried against ours.

use crate::support::*;
use serde_json::{Value, json};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// A directory of the host's that must stay as it is.
struct Canary(PathBuf);

impl Canary {
    fn new(bench: &Bench) -> Self {
        let path = bench.beside("canary");
        for directory in ["dev", "pts", "sub", "self/attr"] {
            std::fs::create_dir_all(path.join(directory)).unwrap();
        }
        std::fs::write(path.join("file"), "untouched").unwrap();
        Self(path)
    }

    fn listing(&self) -> Vec<(PathBuf, u64)> {
        fn walk(at: &Path, all: &mut Vec<(PathBuf, u64)>) {
            for entry in std::fs::read_dir(at).unwrap() {
                let entry = entry.unwrap();
                let meta = entry.metadata().unwrap();
                all.push((entry.path(), meta.len()));
                if meta.is_dir() {
                    walk(&entry.path(), all);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.0, &mut all);
        all.retain(|(path, _)| path.is_file() || path.is_dir());
        all.sort();
        all
    }

    fn check(&self, before: &[(PathBuf, u64)]) {
        let names = |all: &[(PathBuf, u64)]| all.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
        assert_eq!(names(&self.listing()), names(before));
        assert_eq!(std::fs::read_to_string(self.0.join("file")).unwrap(), "untouched");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("canary"), "{mounts}");
    }
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: an image whose /proc, /sys or /dev leads elsewhere.
#[test]
fn an_image_with_links_for_its_mount_points_reaches_nothing_outside() {
    in_userns("escapes::an_image_with_links_for_its_mount_points_reaches_nothing_outside", |bench| {
        let canary = Canary::new(bench);
        let before = canary.listing();
        for name in ["proc", "sys", "dev", "etc"] {
            for target in
                [canary.0.clone(), Path::new("../../../../..").join(canary.0.strip_prefix("/").unwrap())]
            {
                let path = bench.rootfs.join(name);
                let kept = bench.rootfs.join(format!("{name}.kept"));
                std::fs::rename(&path, &kept).unwrap();
                symlink(&target, &path).unwrap();
                let outcome = bench.try_run(&shell("true"));
                if matches!(name, "proc" | "sys") {
                    let error = outcome.unwrap_err().to_string();
                    assert!(error.contains("resolve mount target"), "{name}: {error}");
                }
                canary.check(&before);
                std::fs::remove_file(&path).unwrap();
                std::fs::rename(&kept, &path).unwrap();
            }
        }
    });
}

/// CVE-2025-31133, CVE-2025-52565: a /dev/null or /dev/console of the image's that leads elsewhere.
#[test]
fn masks_and_devices_come_from_the_host_not_from_the_image() {
    in_userns("escapes::masks_and_devices_come_from_the_host_not_from_the_image", |bench| {
        let canary = Canary::new(bench);
        let before = canary.listing();
        let mut spec = shell("cat /hidden | wc -c; stat -c %F /dev/null");
        // No tmpfs on /dev: the image's own directory is used, with what it has there.
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
        spec["linux"]["maskedPaths"] = json!(["/hidden"]);
        std::fs::write(bench.rootfs.join("hidden"), "secret").unwrap();
        symlink(canary.0.join("file"), bench.rootfs.join("dev/null")).unwrap();
        // Where the link leads inside the container is the image's business; there is nothing, so it is made there.
        let outcome = bench.try_run(&spec);
        canary.check(&before);
        if let Ok(ran) = outcome {
            assert!(ran.stdout.starts_with("0\n"), "{ran:?}");
        }
    });
}

/// CVE-2021-30465: a volume shared with a container that swaps a directory for a link while another is being made.
#[test]
fn a_racing_swap_of_mount_targets_reaches_nothing_outside() {
    in_userns("escapes::a_racing_swap_of_mount_targets_reaches_nothing_outside", |bench| {
        let canary = Canary::new(bench);
        let before = canary.listing();
        let volume = bench.beside("volume");
        std::fs::create_dir(volume.join("target")).unwrap();
        symlink(&canary.0, volume.join("link")).unwrap();
        let source = bench.beside("source");
        std::fs::write(source.join("marker"), "").unwrap();
        let racer = Racer::start(&volume);
        let mut spec = shell("ls /v/target/sub");
        spec = with_mount(spec, json!({"destination": "/v", "source": volume, "options": ["rbind"]}));
        spec =
            with_mount(spec, json!({"destination": "/v/target/sub", "source": source, "options": ["bind"]}));
        let mut ran = 0;
        for _ in 0..300 {
            // The link leads to nothing inside the container; then it fails, or it is made there. Never outside.
            ran += u32::from(bench.try_run(&spec).is_ok());
            canary.check(&before);
        }
        drop(racer);
        assert!(ran > 0, "no container was made at all: the race was not tried");
    });
}

/// A process that exchanges `target` and `link` as fast as it can.
struct Racer(sys::clone::Child);

impl Racer {
    fn start(volume: &Path) -> Self {
        static STOP: AtomicBool = AtomicBool::new(false);
        let directory = sys::mount::open_path(volume).unwrap();
        match sys::clone::fork().unwrap() {
            sys::clone::Fork::Parent(child) => Self(child),
            sys::clone::Fork::Child { .. } => {
                while !STOP.load(Ordering::Relaxed) {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    if rustix::fs::renameat_with(&directory, "target", &directory, "link", flags).is_err() {
                        sys::process::exit(1);
                    }
                }
                sys::process::exit(0)
            }
        }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        sys::pidfd::signal(&self.0.pidfd, 9).unwrap();
        let exit = sys::pidfd::wait(&self.0.pidfd).unwrap();
        assert_eq!(exit, sys::pidfd::Exit::Signal { number: 9, core_dumped: false }, "the racer gave up");
    }
}

/// CVE-2024-21626: a working directory that leads to a descriptor of the runtime's.
#[test]
fn a_working_directory_behind_a_descriptor_is_refused() {
    in_userns("escapes::a_working_directory_behind_a_descriptor_is_refused", |bench| {
        let leaked = std::fs::File::open("/").unwrap();
        rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
        let container = bench.stay(&shell(""));
        for fd in 3..20 {
            for cwd in
                [format!("/proc/self/fd/{fd}"), format!("/proc/self/fd/{fd}/etc"), "/proc/self/cwd".into()]
            {
                let mut spec = shell("pwd; ls");
                spec["process"]["cwd"] = json!(cwd);
                let error = bench.try_run(&spec).unwrap_err().to_string();
                assert!(error.contains("chdir to cwd"), "{cwd}: {error}");
                let error = container.try_exec(&spec["process"]).unwrap_err().to_string();
                assert!(error.contains("chdir to cwd"), "{cwd}: {error}");
            }
        }
        symlink("/proc/self/fd/7", bench.rootfs.join("link")).unwrap();
        let mut spec = shell("pwd");
        spec["process"]["cwd"] = json!("/link");
        assert!(bench.try_run(&spec).is_err());
    });
}

/// Inside a container, as its program: tries to write to the file it was executed from.
#[test]
#[ignore = "runs inside a container only"]
fn probe_overwrite() {
    for path in ["/proc/self/exe", "/proc/1/exe"] {
        let outcome = std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|mut f| std::io::Write::write(&mut f, b"#!/x"));
        println!("probe:{path} {}", if outcome.is_ok() { "written" } else { "refused" });
    }
}

const SEALED: &str = "LICHEN_TEST_SEALED";

/// CVE-2019-5736: a program that is the runtime itself, by way of /proc/self/exe, and opens that for writing.
#[test]
fn the_runtimes_own_file_cannot_be_overwritten() {
    testing::in_userns("escapes::the_runtimes_own_file_cannot_be_overwritten", || {
        if std::env::var_os(SEALED).is_none() {
            run_again_sealed();
        }
        sys::testing::single_threaded(overwrite);
    });
}

fn overwrite() {
    let bench = Bench::here();
    let own = std::fs::File::open("/proc/self/exe").unwrap();
    assert!(sys::memfd::is_sealed(&own));
    let length = own.metadata().unwrap().len();
    let mut spec = shell("");
    let mut args = probe("escapes::probe_overwrite");
    args[0] = json!("/proc/self/exe");
    spec["process"]["args"] = args;
    let ran = bench.run(&spec);
    assert_eq!(findings(&ran.stdout), ["/proc/self/exe refused", "/proc/1/exe refused"], "{ran:?}");
    assert_eq!(own.metadata().unwrap().len(), length);
}

/// As the launcher starts lichen-shim.
fn run_again_sealed() -> ! {
    use std::ffi::CString;
    let memfd = sys::memfd::sealed_self("test").unwrap();
    let strings = |all: Vec<String>| all.into_iter().map(|s| CString::new(s).unwrap()).collect::<Vec<_>>();
    let argv = strings(std::env::args().collect());
    let mut env: Vec<String> = std::env::vars().map(|(k, v)| format!("{k}={v}")).collect();
    env.push(format!("{SEALED}=1"));
    use std::os::fd::AsFd;
    panic!("{}", sys::process::exec_fd(memfd.as_fd(), &argv, &strings(env)));
}

/// CVE-2016-9962: nothing inside the container may look into a process that is on its way in.
#[test]
fn a_process_on_its_way_in_cannot_be_inspected() {
    in_userns("escapes::a_process_on_its_way_in_cannot_be_inspected", |bench| {
        // Created and not started: still the runtime's own program, with the runtime's files.
        let mut spec = shell("true");
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let created = bench.create(&spec, &Io::new()).unwrap();
        let pid = created.process.pid;
        let path = format!("/proc/{pid}/ns/pid");
        let mut other: Value = shell("ls /proc/1/fd; readlink /proc/1/exe; echo done");
        other["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let namespaces = other["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|n| n["type"] != "pid");
        namespaces.push(json!({"type": "pid", "path": path}));
        let ran = bench.run(&other);
        assert_eq!(ran.stdout, "done\n", "{ran:?}");
        assert!(ran.stderr.contains("Permission denied"), "{ran:?}");
        created.pending.start().unwrap();
        sys::pidfd::wait(&created.pidfd).unwrap();
    });
}
