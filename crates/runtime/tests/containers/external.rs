use crate::support::*;
use model::{ProcessRef, Rootfs};
use runtime::{Cgroup, Class, CreateOptions, ExecOptions, External, Runtime, StartGate, Stdio};
use serde_json::json;
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const PROGRAMS: [&str; 2] = ["/usr/bin/runc", "/usr/sbin/runc"];

fn runtimes(bench: &Bench) -> Vec<External> {
    let runc = PROGRAMS.into_iter().find(|p| Path::new(p).exists()).expect("runc is installed");
    let crun = "/usr/bin/crun";
    assert!(Path::new(crun).exists(), "crun is installed");
    [runc, crun]
        .map(|program| {
            let name = Path::new(program).file_name().unwrap().to_str().unwrap();
            External {
                program: program.into(),
                args: Vec::new(),
                root: bench.beside(&format!("state-{name}")),
            }
        })
        .into()
}

fn options<'a>(
    bench: &'a Bench,
    spec: &'a runtime::oci_spec::runtime::Spec,
    root: BorrowedFd<'a>,
    stdio: Stdio<'a>,
    cgroup: &'a Cgroup,
) -> CreateOptions<'a> {
    CreateOptions {
        id: "external",
        bundle: &bench.directory,
        spec,
        rootfs: root.into(),
        mounts: &[],
        netns: None,
        stdio,
        preserve_fds: 0,
        bypass: false,
        cgroup,
        seccomp_cache: None,
        gate: StartGate::Socket,
    }
}

#[test]
fn runc_and_crun_run_the_same_containers() {
    in_userns("external::runc_and_crun_run_the_same_containers", |bench| {
        sys::process::become_subreaper().unwrap();
        let cgroup = Cgroup::none("tests have none");
        // runc keeps its bundle's root file system under this name.
        let image = bench.directory.join("image");
        std::fs::rename(&bench.rootfs, &image).unwrap();
        for external in runtimes(bench) {
            let runtime = Runtime::External(external);
            let mut spec = shell("hostname; sleep 1000");
            spec["linux"]["resources"] = json!({"pids": {"limit": 100}});
            let spec = parse(&spec);
            let root = sys::overlay::mount_detached(&Rootfs::Dir { path: image.clone() }).unwrap();
            let io = Io::new();
            let created = runtime
                .create(&options(bench, &spec, root.as_fd(), io.stdio(), &cgroup))
                .unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(created.warnings.len(), 1, "the limit: {:?}", created.warnings);
            created.pending.start().unwrap();
            exec(&runtime, &created.pidfd, created.process, &cgroup);
            sys::pidfd::signal(&created.pidfd, 9).unwrap();
            let ran = io.finish(&created.pidfd, Vec::new());
            assert_eq!((ran.code, ran.stdout.as_str()), (137, "measured\n"), "{runtime:?}");
            runtime.delete("external").unwrap();
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("/rootfs "), "{mounts}");
    });
}

fn exec(runtime: &Runtime, init: &OwnedFd, init_process: ProcessRef, cgroup: &Cgroup) {
    let io = Io::new();
    let mut process = shell("echo executed; exit 3")["process"].clone();
    let run = |process: &serde_json::Value, io: &Io| {
        let process = serde_json::from_value(process.clone()).unwrap();
        let options = ExecOptions {
            init: init.as_fd(),
            init_process,
            process: &process,
            seccomp: None,
            stdio: io.stdio(),
            preserve_fds: 0,
            bypass: false,
            cgroup,
            listener: None,
            personality: None,
        };
        runtime.exec("external", &options)
    };
    let executing = run(&process, &io).unwrap_or_else(|e| panic!("{e}"));
    let ran = io.finish(&executing.pidfd, Vec::new());
    assert_eq!((ran.code, ran.stdout.as_str()), (3, "executed\n"));
    process["args"] = json!(["nonexistent"]);
    let error = run(&process, &Io::new()).unwrap_err();
    assert_eq!(error.class(), Class::NotFound, "{error}");
}

#[test]
fn a_failure_is_told_in_the_runtimes_own_words() {
    in_userns("external::a_failure_is_told_in_the_runtimes_own_words", |bench| {
        sys::process::become_subreaper().unwrap();
        let cgroup = Cgroup::none("tests have none");
        let image = bench.directory.join("image");
        std::fs::rename(&bench.rootfs, &image).unwrap();
        for external in runtimes(bench) {
            let runtime = Runtime::External(external);
            let mut spec = shell("");
            spec["process"]["args"] = json!(["nonexistent"]);
            let spec = parse(&spec);
            let root = sys::overlay::mount_detached(&Rootfs::Dir { path: image.clone() }).unwrap();
            let io = Io::new();
            let error =
                runtime.create(&options(bench, &spec, root.as_fd(), io.stdio(), &cgroup)).unwrap_err();
            assert_eq!(error.class(), Class::NotFound, "{error}");
            assert!(error.to_string().contains("nonexistent"), "{error}");
        }
    });
}
