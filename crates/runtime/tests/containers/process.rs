use crate::support::*;
use runtime::Warning;
use serde_json::{Value, json};

fn process(line: &str, changes: &Value) -> Value {
    let mut spec = shell(line);
    for (key, value) in changes.as_object().unwrap() {
        spec["process"][key] = value.clone();
    }
    spec
}

#[test]
fn user_groups_and_umask_are_as_asked() {
    in_userns("process::user_groups_and_umask_are_as_asked", |bench| {
        let user = json!({"user": {"uid": 1000, "gid": 1000, "umask": 63, "additionalGids": [5, 7]}});
        let ran = bench.run(&process("id -u; id -g; id -G; umask", &user));
        assert_eq!(ran.success(), "1000\n1000\n1000 5 7\n0077\n");
        let unmapped = json!({"user": {"uid": 4_000_000_000u32, "gid": 0}});
        let error = bench.try_run(&process("true", &unmapped)).unwrap_err().to_string();
        assert!(error.contains("4000000000") && error.contains("no mapping"), "{error}");
    });
}

#[test]
fn capabilities_are_those_asked_for_and_none_is_inheritable() {
    in_userns("process::capabilities_are_those_asked_for_and_none_is_inheritable", |bench| {
        let sets = "grep Cap /proc/self/status";
        let read = |spec: &Value| {
            let text = bench.run(spec).success();
            text.lines()
                .map(|l| u64::from_str_radix(l.split_whitespace().nth(1).unwrap(), 16).unwrap())
                .collect::<Vec<_>>()
        };
        // Docker's fourteen.
        const DEFAULT: u64 = 0xa804_25fb;
        assert_eq!(read(&shell(sets)), [0, DEFAULT, DEFAULT, DEFAULT, 0]);
        let user = json!({"user": {"uid": 1000, "gid": 1000}});
        assert_eq!(read(&process(sets, &user)), [0, 0, 0, DEFAULT, 0]);
        let caps = json!(["CAP_NET_RAW"]);
        let ambient = json!({"user": {"uid": 1000, "gid": 1000}, "capabilities": {
            "bounding": caps, "effective": caps, "permitted": caps, "inheritable": caps, "ambient": caps}});
        assert_eq!(read(&process(sets, &ambient)), [1 << 13; 5]);
        let mut none = shell(sets);
        none["process"].as_object_mut().unwrap().remove("capabilities");
        assert_eq!(read(&none), [0; 5]);
    });
}

#[test]
fn limits_are_set_and_clamped_with_a_warning() {
    in_userns("process::limits_are_set_and_clamped_with_a_warning", |bench| {
        let limits = json!({"rlimits": [
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]});
        assert_eq!(
            bench.run(&process("ulimit -n; ulimit -Hn; ulimit -c", &limits)).success(),
            "100\n200\n0\n"
        );
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .maximum
            .expect("a hard limit on files");
        let above = json!({"rlimits": [{"type": "RLIMIT_NOFILE", "soft": hard + 1, "hard": hard + 1}]});
        let ran = bench.run(&process("ulimit -Hn", &above));
        assert_eq!(
            ran.warnings,
            [Warning::RlimitClamped { name: "nofile".into(), wanted: hard + 1, given: hard }]
        );
        assert_eq!(ran.success(), format!("{hard}\n"));
    });
}

#[test]
fn the_program_starts_with_default_signals_and_three_descriptors() {
    in_userns("process::the_program_starts_with_default_signals_and_three_descriptors", |bench| {
        let leaked = std::fs::File::open("/").unwrap();
        rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
        let text = bench.sh("exec cat /proc/self/status");
        for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
            assert!(text.contains(line), "{text}");
        }
        // The fourth is the directory that ls itself opens.
        assert_eq!(bench.sh("exec ls /proc/self/fd | wc -l"), "4\n");
    });
}

#[test]
fn the_working_directory_is_made_and_entered() {
    in_userns("process::the_working_directory_is_made_and_entered", |bench| {
        assert_eq!(bench.run(&process("pwd", &json!({"cwd": "/made/for/me"}))).success(), "/made/for/me\n");
        assert!(bench.rootfs.join("made/for/me").is_dir());
        std::fs::write(bench.rootfs.join("file"), "").unwrap();
        let error = bench.try_run(&process("pwd", &json!({"cwd": "/file"}))).unwrap_err().to_string();
        assert_eq!(error, r#"chdir to cwd ("/file") set in config.json failed: not a directory"#);
    });
}

#[test]
fn a_program_with_no_new_privileges_says_so() {
    in_userns("process::a_program_with_no_new_privileges_says_so", |bench| {
        let line = "grep NoNewPrivs /proc/self/status";
        assert_eq!(bench.sh(line), "NoNewPrivs:\t0\n");
        assert_eq!(
            bench.run(&process(line, &json!({"noNewPrivileges": true}))).success(),
            "NoNewPrivs:\t1\n"
        );
    });
}

#[test]
fn the_oom_score_is_raised_and_not_lowered() {
    in_userns("process::the_oom_score_is_raised_and_not_lowered", |bench| {
        let line = "cat /proc/self/oom_score_adj";
        assert_eq!(bench.run(&process(line, &json!({"oomScoreAdj": 500}))).success(), "500\n");
        let ran = bench.run(&process(line, &json!({"oomScoreAdj": -500})));
        assert!(matches!(ran.warnings[..], [Warning::OomScoreKept { wanted: -500, .. }]), "{ran:?}");
    });
}

#[test]
fn labels_of_security_modules_are_refused() {
    in_userns("process::labels_of_security_modules_are_refused", |bench| {
        for label in ["apparmorProfile", "selinuxLabel"] {
            let error = bench.try_run(&process("true", &json!({label: "some_profile"}))).unwrap_err();
            assert!(error.to_string().contains(label), "{error}");
        }
    });
}
