use crate::support::*;
use runtime::{Cgroup, CreateOptions, StartGate, Warning};
use serde_json::json;
use std::{
    os::{fd::AsFd, unix::fs::chown},
    path::{Path, PathBuf},
};

/// Set by crate `testing` in the unprivileged run.
const INSIDE: &str = "LICHEN_TEST_INSIDE_USERNS";

/// Where this machine has cgroup v2: for itself, or beside v1.
fn hierarchy() -> PathBuf {
    let found = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(Path::new)
        .into_iter()
        .find(|p| p.join("cgroup.controllers").exists());
    found.expect("cgroup v2 is mounted").to_owned()
}

fn test_user() -> u32 {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find_map(|l| l.strip_prefix(&format!("{}:", testing::TEST_USER)));
    line.expect("the test user exists").split(':').nth(1).unwrap().parse().unwrap()
}

/// Delegates a cgroup to the test user, as a systemd user session would have it, with this process inside.
fn in_delegated_cgroup(test: &str, body: impl FnOnce(&Bench, &Path)) {
    let directory = hierarchy().join(format!("lichen-{}", test.replace("::", "-")));
    let leaf = directory.join("session");
    let inside = std::env::var_os(INSIDE).is_some();
    if !inside {
        assert!(
            rustix::process::getuid().is_root(),
            "only root can delegate a cgroup: run this test as root"
        );
        std::fs::create_dir_all(&leaf).unwrap();
        for at in [&directory, &leaf] {
            for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                chown(at.join(file), Some(test_user()), None).unwrap();
            }
        }
        std::fs::write(leaf.join("cgroup.procs"), "0").unwrap();
    }
    in_userns(test, |bench| body(bench, &directory));
    if !inside {
        std::fs::write(hierarchy().join("cgroup.procs"), "0").unwrap();
        for at in [&leaf, &directory] {
            std::fs::remove_dir(at).unwrap();
        }
    }
}

fn stay(bench: &Bench, cgroup: &Cgroup, spec: &serde_json::Value) -> runtime::Created {
    let (spec, io) = (parse(spec), Io::new());
    let root = sys::overlay::mount_detached(&model::Rootfs::Dir { path: bench.rootfs.clone() }).unwrap();
    let created = runtime::create(&CreateOptions {
        id: "test",
        bundle: &bench.directory,
        spec: &spec,
        rootfs: root.as_fd().into(),
        mounts: &[],
        netns: None,
        stdio: io.stdio(),
        preserve_fds: 0,
        bypass: false,
        cgroup,
        seccomp_cache: None,
        gate: StartGate::Socket,
    });
    created.unwrap_or_else(|e| panic!("{e}"))
}

/// The contents of a file that another process is about to write.
fn wait_for(path: &Path) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            outcome => assert!(std::time::Instant::now() < deadline, "{}: {outcome:?}", path.display()),
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_container_lives_is_frozen_counted_and_killed_in_its_cgroup() {
    in_delegated_cgroup(
        "cgroups::a_container_lives_is_frozen_counted_and_killed_in_its_cgroup",
        |bench, parent| {
            let cgroup = Cgroup::create(parent, "container").unwrap();
            let mut spec = shell("sleep 1000 & grep '^0::' /proc/self/cgroup > /tmp/seen; wait");
            spec["linux"]["resources"] = json!({"memory": {"limit": 1 << 30}, "pids": {"limit": 100}});
            let created = stay(bench, &cgroup, &spec);
            // What the controllers of this machine can enforce differs; what they cannot is named.
            for warning in &created.warnings {
                assert!(
                    matches!(warning, Warning::LimitDiscarded { limit, .. } if limit == "memory.limit" || limit == "pids.limit")
                );
            }
            created.pending.start().unwrap();
            let pid = created.process.pid;
            let place = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            assert!(
                place.contains("a_container_lives_is_frozen_counted_and_killed_in_its_cgroup/container\n"),
                "{place}"
            );
            assert!(cgroup.pids().unwrap().contains(&pid));

            cgroup.freeze().unwrap();
            assert!(cgroup.is_frozen().unwrap());
            cgroup.thaw().unwrap();
            assert!(!cgroup.is_frozen().unwrap());
            assert!(cgroup.stats().unwrap().cpu.usage > 0);

            // The root of its cgroup namespace is its own cgroup.
            assert_eq!(wait_for(&bench.rootfs.join("tmp/seen")), "0::/\n");
            cgroup.kill().unwrap();
            assert_eq!(sys::pidfd::wait(&created.pidfd).unwrap().code(), 137);

            // A group that was killed is not the one that the next container of the same name gets.
            let again = Cgroup::create(parent, "container").unwrap();
            let created = stay(bench, &again, &shell("true"));
            created.pending.start().unwrap();
            assert_eq!(sys::pidfd::wait(&created.pidfd).unwrap().code(), 0);
            cgroup.remove().unwrap();

            let deep = Cgroup::create(&parent.join("a/b"), "container").unwrap();
            assert!(deep.path().unwrap().ends_with("a/b/container"));
            deep.remove().unwrap();
            // What was missing above stays, as it may be others' too.
            for above in ["a/b", "a"] {
                std::fs::remove_dir(parent.join(above)).unwrap();
            }
            assert!(!parent.join("container").exists());
            cgroup.remove().unwrap();
        },
    );
}

#[test]
fn without_a_cgroup_every_limit_is_named_and_pausing_is_refused() {
    let none = Cgroup::none("this user has no delegated cgroup");
    let resources =
        json!({"cpu": {"shares": 512, "cpus": "0"}, "memory": {"limit": 1024}, "pids": {"limit": 3}});
    let warnings = none.apply(&serde_json::from_value(resources).unwrap()).unwrap();
    let names: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|n| n.contains("no delegated cgroup")), "{names:?}");
    assert!(matches!(none.freeze(), Err(runtime::Error::NoCgroup { .. })));
}
