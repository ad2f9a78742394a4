use crate::support::*;
use rustix::io::Errno;
use serde_json::{Value, json};

/// The rules of Docker's default profile for a container with its default capabilities.
fn docker_rules(spec: &Value) -> Value {
    let capabilities =
        parse(spec).process().as_ref().unwrap().capabilities().as_ref().unwrap().bounding().clone().unwrap();
    let conditions = spec::seccomp::Conditions::here(&capabilities);
    serde_json::to_value(spec::seccomp::default_filter(&conditions).unwrap()).unwrap()
}

/// Makes a few system calls and prints what became of them.
#[test]
#[ignore = "runs inside a container only"]
fn probe_calls() {
    use rustix::net::{AddressFamily, SocketType, socket};
    let say = |what: &str, result: Result<(), Errno>| match result {
        Ok(()) => println!("probe:{what} ok"),
        Err(errno) => println!("probe:{what} {}", errno.raw_os_error()),
    };
    let open = |family: u16| socket(AddressFamily::from_raw(family), SocketType::DGRAM, None).map(drop);
    say("inet", open(2));
    say("alg", open(38));
    say("vsock", open(40));
    say(
        "unshare",
        sys::namespaces::unshare(sys::namespaces::Set::of(&[sys::namespaces::Kind::Mount]))
            .map_err(|e| e.errno),
    );
    say("keyctl", sys::keyring::new_session("probe").map_err(|e| e.errno));
    say("mkdir", rustix::fs::mkdir("/tmp/probe", rustix::fs::Mode::from_raw_mode(0o755)));
    for number in [452, 462, 9999] {
        say(&number.to_string(), sys::testing::raw_syscall(number));
    }
}

fn probed(bench: &Bench, spec: &Value) -> Vec<String> {
    let mut spec = spec.clone();
    spec["process"]["args"] = probe("seccomp::probe_calls");
    findings(&bench.run(&spec).success()).into_iter().map(str::to_owned).collect()
}

const EPERM: &str = "1";

#[test]
fn dockers_rules_deny_what_they_should_with_and_without_no_new_privileges() {
    in_userns("seccomp::dockers_rules_deny_what_they_should_with_and_without_no_new_privileges", |bench| {
        install_probe(bench);
        let mut spec = shell("");
        spec["linux"]["seccomp"] = docker_rules(&spec);
        for no_new_privileges in [false, true] {
            spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
            let found = probed(bench, &spec);
            let value = |what: &str| {
                let line = found.iter().find_map(|l| l.strip_prefix(what)?.strip_prefix(' '));
                line.unwrap_or_else(|| panic!("{what}: {found:?}"))
            };
            for (what, expected) in [("inet", "ok"), ("mkdir", "ok"), ("unshare", EPERM), ("keyctl", EPERM)] {
                assert_eq!(value(what), expected, "{what}, no_new_privs {no_new_privileges}");
            }
            for family in ["alg", "vsock"] {
                assert_ne!(value(family), "ok", "{family}");
            }
            // A call nobody knows looks like one the kernel lacks (ENOSYS); fchmodat2 is known and allowed, so that the
            // kernel itself complains of its arguments.
            assert_eq!(value("9999"), "38");
            assert_ne!(value("452"), EPERM, "fchmodat2");
            std::fs::remove_dir(bench.rootfs.join("tmp/probe")).unwrap();
        }
    });
}

#[test]
fn an_exec_is_confined_like_its_container() {
    in_userns("seccomp::an_exec_is_confined_like_its_container", |bench| {
        install_probe(bench);
        let mut spec = shell("");
        spec["linux"]["seccomp"] = docker_rules(&spec);
        let container = bench.stay(&spec);
        let mut process = shell("")["process"].clone();
        process["args"] = probe("seccomp::probe_calls");
        let ran = container.try_exec(&process).unwrap().success();
        assert!(findings(&ran).contains(&"unshare 1"), "{ran}");
    });
}

#[test]
fn rules_look_at_arguments_and_return_the_number_they_name() {
    in_userns("seccomp::rules_look_at_arguments_and_return_the_number_they_name", |bench| {
        install_probe(bench);
        let mut spec = shell("");
        let deny = |family: u64| {
            json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 55,
                "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]})
        };
        spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
            "syscalls": [deny(2), {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]});
        let found = probed(bench, &spec);
        assert!(found.contains(&"inet 55".into()) && found.contains(&"mkdir 1".into()), "{found:?}");
        spec["linux"]["seccomp"]["syscalls"] = json!([deny(3)]);
        assert!(probed(bench, &spec).contains(&"inet ok".into()));
    });
}

#[test]
fn a_filter_from_the_cache_is_the_one_that_was_compiled() {
    let directory = tempfile::tempdir().unwrap();
    let rules = serde_json::from_value(docker_rules(&shell(""))).unwrap();
    let compiled = runtime::seccomp::load(&rules, Some(directory.path())).unwrap().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let cached = runtime::seccomp::load(&rules, Some(directory.path())).unwrap().unwrap();
    assert_eq!(compiled, cached);
    assert_eq!(runtime::seccomp::load(&rules, None).unwrap().unwrap(), compiled);
}

#[test]
fn a_notification_reaches_the_agent() {
    in_userns("seccomp::a_notification_reaches_the_agent", |bench| {
        use std::os::unix::net::UnixListener;
        let path = bench.directory.join("agent");
        let agent = UnixListener::bind(&path).unwrap();
        let mut spec = shell("sleep 100");
        spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
            "listenerMetadata": "meta",
            "syscalls": [{"names": ["nanosleep", "clock_nanosleep"], "action": "SCMP_ACT_NOTIFY"}]});
        let created = bench.create(&spec, &Io::new()).unwrap();
        created.pending.start().unwrap();
        let (socket, _) = agent.accept().unwrap();
        let mut buffer = [0u8; 4096];
        let (length, fds) = sys::fds::recv_with_fds(&socket, &mut buffer).unwrap();
        let state: Value = serde_json::from_slice(&buffer[..length]).unwrap();
        assert_eq!(
            (fds.len(), &state["metadata"], &state["fds"]),
            (1, &json!("meta"), &json!(["seccompFd"]))
        );
        assert_eq!(state["pid"], json!(created.process.pid));
        // The call waits for an answer now: the listener is readable.
        assert!(sys::pidfd::poll_exit(&fds[0], Some(std::time::Duration::from_secs(5))).unwrap());
        sys::pidfd::signal(&created.pidfd, 9).unwrap();
        sys::pidfd::wait(&created.pidfd).unwrap();
    });
}

#[test]
fn an_agent_cannot_be_asked_about_the_calls_that_lead_to_it() {
    let load = |rules: Value| runtime::seccomp::load(&serde_json::from_value(rules).unwrap(), None).map(drop);
    let rules = |action: &str, names: &[&str]| json!({"defaultAction": action, "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}]});
    load(rules("SCMP_ACT_ALLOW", &["mkdir", "sendto"])).unwrap();
    let refused = load(rules("SCMP_ACT_ALLOW", &["mkdir", "sendmsg"])).unwrap_err().to_string();
    assert!(refused.contains("cannot be for sendmsg"), "{refused}");
    let refused = load(rules("SCMP_ACT_NOTIFY", &["mkdir"])).unwrap_err().to_string();
    assert!(refused.contains("cannot be the default action"), "{refused}");
    // Denied ones lead nowhere either.
    let allowing = |names: &[&str]| {
        let allowed = json!({"names": names, "action": "SCMP_ACT_ALLOW"});
        let asked = json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"});
        load(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [allowed, asked]}))
    };
    allowing(&["sendmsg", "recvfrom"]).unwrap();
    for (names, denied) in [(["read", "recvfrom"], "sendmsg"), (["read", "sendmsg"], "recvfrom")] {
        let refused = allowing(&names).unwrap_err().to_string();
        assert!(refused.contains(&format!("it needs {denied} allowed")), "{refused}");
    }
    // Whether a rule with arguments is about ours nobody knows beforehand.
    for args in [json!([{"index": 2, "value": 64, "op": "SCMP_CMP_GT"}]), json!([])] {
        let denied = json!({"names": ["sendmsg"], "action": "SCMP_ACT_ERRNO", "args": args});
        let asked = json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"});
        let refused = load(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied, asked]}));
        assert!(refused.unwrap_err().to_string().contains("it needs sendmsg allowed"));
    }
}
