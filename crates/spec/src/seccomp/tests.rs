use super::*;
use crate::caps;
use oci_spec::runtime::{Capabilities, LinuxSeccomp, LinuxSeccompAction};

fn action(filter: &LinuxSeccomp, name: &str) -> LinuxSeccompAction {
    let calls = filter.syscalls().as_ref().unwrap();
    calls.iter().find(|c| c.names().iter().any(|n| n == name)).map_or(filter.default_action(), |c| c.action())
}

fn default_with(add: &[&str]) -> LinuxSeccomp {
    let add: Vec<String> = add.iter().map(|c| (*c).to_owned()).collect();
    let caps = caps::resolve(&add, &[], false).unwrap();
    default_filter(&Conditions { capabilities: &caps, kernel: (6, 1) }).unwrap()
}

#[test]
fn dangerous_calls_are_refused_by_default() {
    let filter = default_with(&[]);
    for name in [
        "mount",
        "unshare",
        "setns",
        "bpf",
        "io_uring_setup",
        "keyctl",
        "add_key",
        "userfaultfd",
        "kexec_load",
        "init_module",
        "reboot",
        "swapon",
        "socketcall",
        "clone3",
        "open_by_handle_at",
        "perf_event_open",
    ] {
        assert_eq!(action(&filter, name), LinuxSeccompAction::ScmpActErrno, "{name}");
    }
    for name in ["read", "openat2", "clone", "execve", "ptrace", "chroot", "socket", "personality"] {
        assert_eq!(action(&filter, name), LinuxSeccompAction::ScmpActAllow, "{name}");
    }
}

#[test]
fn clone3_looks_absent_so_that_libraries_fall_back() {
    let filter = default_with(&[]);
    let calls = filter.syscalls().as_ref().unwrap();
    let clone3 = calls.iter().find(|c| c.names().iter().any(|n| n == "clone3")).unwrap();
    assert_eq!(clone3.errno_ret(), Some(38));
}

#[test]
fn capabilities_open_what_they_need() {
    let filter = default_with(&["SYS_ADMIN", "SYS_TIME"]);
    for name in ["mount", "unshare", "clone3", "settimeofday"] {
        assert_eq!(action(&filter, name), LinuxSeccompAction::ScmpActAllow, "{name}");
    }
}

const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
        {"name": "chroot", "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_CHROOT"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "99.0"}},
        {"names": ["reboot"], "action": "SCMP_ACT_ERRNO", "args": [], "includes": {"arches": ["vax"]}}
    ]}"#;

#[test]
fn a_profiles_conditions_are_weighed() {
    let caps = caps::resolve(&[], &[], false).unwrap();
    let filter = from_profile(PROFILE, &Conditions { capabilities: &caps, kernel: (6, 1) }).unwrap();
    let names: Vec<_> = filter.syscalls().as_ref().unwrap().iter().flat_map(|c| c.names().clone()).collect();
    assert_eq!(names, ["mkdir"]);
}

#[test]
fn contradictory_profiles_are_refused() {
    let caps = Capabilities::new();
    let conditions = Conditions { capabilities: &caps, kernel: (6, 1) };
    for (json, expect) in [
        ("{", "Decoding seccomp profile failed: "),
        (r#"{"defaultAction":"SCMP_ACT_NAP"}"#, "Decoding seccomp profile failed: "),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}"#,
            "invalid seccomp profile: use either 'architectures' or 'archMap'",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}]}"#,
            "invalid seccomp profile: use either 'name' or 'names'",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_ALLOW"}]}"#,
            "invalid seccomp profile: a rule names no system call",
        ),
    ] {
        let error = from_profile(json, &conditions).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{json}: {error}");
    }
}

#[test]
fn kernel_releases_are_read_leniently() {
    for (text, expect) in [("6.18.44-fc", (6, 18)), ("4.8", (4, 8)), ("5", (5, 0)), ("x", (0, 0))] {
        assert_eq!(kernel_version(text), expect, "{text}");
    }
}
