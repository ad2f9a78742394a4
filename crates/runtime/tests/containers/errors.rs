use crate::support::*;
use runtime::{Class, Error};
use serde_json::{Value, json};

fn with_args(args: Value) -> Value {
    let mut spec = shell("");
    spec["process"]["args"] = args;
    spec
}

#[test]
fn a_program_that_cannot_run_is_known_before_start() {
    in_userns("errors::a_program_that_cannot_run_is_known_before_start", |bench| {
        let check = |program: &str, message: &str, class: Class| {
            let error = bench.create(&with_args(json!([program])), &Io::new()).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.class()), (message, class));
        };
        check("foo", r#"exec: "foo": executable file not found in $PATH"#, Class::NotFound);
        check("/foo", r#"exec: "/foo": stat /foo: no such file or directory"#, Class::NotFound);
        check("/etc/passwd", r#"exec: "/etc/passwd": permission denied"#, Class::NotExecutable);
        check("/etc", r#"exec: "/etc": is a directory"#, Class::NotExecutable);
    });
}

#[test]
fn a_program_of_another_kind_fails_at_start_and_says_so_on_its_stderr() {
    in_userns("errors::a_program_of_another_kind_fails_at_start_and_says_so_on_its_stderr", |bench| {
        use std::os::unix::fs::PermissionsExt;
        let path = bench.rootfs.join("bin/foreign");
        std::fs::write(&path, "neither ELF nor script").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let io = Io::new();
        let created = bench.create(&with_args(json!(["/bin/foreign"])), &io).unwrap();
        let error = created.pending.start().unwrap_err();
        assert_eq!(error.class(), Class::NotExecutable);
        let ran = io.finish(&created.pidfd, created.warnings);
        assert_eq!(ran.stderr, "exec /bin/foreign: exec format error\n");
        assert_ne!(ran.code, 0);
    });
}

#[test]
fn a_specification_that_makes_no_sense_is_refused_before_anything_is_made() {
    in_userns("errors::a_specification_that_makes_no_sense_is_refused_before_anything_is_made", |bench| {
        let check = |change: &dyn Fn(&mut Value), expected: &str| {
            let mut spec = shell("true");
            change(&mut spec);
            let error = bench.create(&spec, &Io::new()).unwrap_err();
            assert!(matches!(error, Error::Spec { .. } | Error::Unsupported { .. }), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&|s| s["process"]["args"] = json!([]), "process.args");
        check(&|s| s["process"]["cwd"] = json!("relative"), "absolute");
        check(&|s| s["process"]["env"] = json!(["A=\u{0}"]), "null byte");
        check(&|s| drop(s.as_object_mut().unwrap().remove("process")), "process");
        check(&|s| s["linux"]["namespaces"] = json!([{"type": "pid"}]), "mount namespace");
        check(&|s| s["linux"]["rootfsPropagation"] = json!("sideways"), "sideways");
        check(&|s| s["linux"]["intelRdt"] = json!({}), "intelRdt");
        check(&|s| s["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1}}), "time");
    });
}

#[test]
fn a_container_whose_creator_forgets_it_ends_by_itself() {
    in_userns("errors::a_container_whose_creator_forgets_it_ends_by_itself", |bench| {
        let created = bench.create(&shell("true"), &Io::new()).unwrap();
        drop(created.pending);
        assert_eq!(sys::pidfd::wait(&created.pidfd).unwrap().code(), 1);
    });
}

#[test]
fn hooks_run_at_their_moments_and_a_failing_one_stops_everything() {
    in_userns("errors::hooks_run_at_their_moments_and_a_failing_one_stops_everything", |bench| {
        let log = bench.directory.join("hooks.log");
        let hook = |name: &str| {
            let line = format!(
                "read state; echo {name} $state | grep -o '^[a-zA-Z]*\\|\"status\":\"[a-z]*\"' >> {}",
                log.display()
            );
            json!([{"path": "/bin/sh", "args": ["sh", "-c", line]}])
        };
        let mut spec = shell("true");
        // createContainer runs with the host's files still in view, startContainer with the container's.
        spec["hooks"] = json!({"prestart": hook("prestart"), "createRuntime": hook("runtime"),
            "createContainer": hook("container"), "poststart": hook("poststart")});
        bench.run(&spec).success();
        let lines = std::fs::read_to_string(&log).unwrap();
        let expected = "prestart\n\"status\":\"creating\"\nruntime\n\"status\":\"creating\"\n\
                        container\n\"status\":\"creating\"\npoststart\n\"status\":\"running\"\n";
        assert_eq!(lines, expected);
        for moment in ["prestart", "createRuntime", "createContainer"] {
            spec["hooks"] =
                json!({moment: [{"path": "/bin/sh", "args": ["sh", "-c", "echo no >&2; exit 7"]}]});
            let error = bench.try_run(&spec).unwrap_err().to_string();
            assert!(error.contains("exit status: 7") && error.contains("no"), "{moment}: {error}");
        }
        spec["hooks"] =
            json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]});
        assert!(bench.try_run(&spec).unwrap_err().to_string().contains("timed out after 1 s"));
    });
}
