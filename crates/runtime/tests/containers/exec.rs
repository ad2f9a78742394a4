use crate::support::*;
use runtime::Class;
use serde_json::json;
use sys::namespaces::Kind;

#[test]
fn an_exec_lives_where_the_container_lives() {
    in_userns("exec::an_exec_lives_where_the_container_lives", |bench| {
        let container = bench.stay(&shell(""));
        let links = container.sh("ls -l /proc/self/ns");
        for kind in Kind::ALL {
            let inode = sys::namespaces::identity_of(Some(container.process.pid), kind).unwrap().inode;
            assert!(links.contains(&inode.to_string()), "{kind:?}: {links}");
        }
        assert_eq!(container.sh("hostname; pwd"), "measured\n/\n");
    });
}

#[test]
fn an_exec_enters_the_containers_own_user_namespace() {
    in_userns("exec::an_exec_enters_the_containers_own_user_namespace", |bench| {
        let mut spec = shell("");
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        spec["linux"]["uidMappings"] = maps(2000);
        spec["linux"]["gidMappings"] = maps(2000);
        let container = bench.stay(&spec);
        let mut process = shell("id -u; cat /proc/self/uid_map")["process"].clone();
        process["user"] = json!({"uid": 1000, "gid": 1000});
        let text = container.try_exec(&process).unwrap().success();
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["1000", "0", "0", "1", "1", "1", "1999"]);
    });
}

#[test]
fn an_exec_has_its_own_user_and_the_capabilities_it_is_given() {
    in_userns("exec::an_exec_has_its_own_user_and_the_capabilities_it_is_given", |bench| {
        let container = bench.stay(&shell(""));
        let mut process = shell("id -u; grep -E 'CapInh|CapEff|CapBnd' /proc/self/status")["process"].clone();
        let caps = json!(["CAP_CHOWN"]);
        process["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
        let text = container.try_exec(&process).unwrap().success();
        let values: Vec<&str> = text.split_whitespace().filter(|w| !w.starts_with("Cap")).collect();
        assert_eq!(values, ["0", "0000000000000000", "0000000000000001", "0000000000000001"]);
    });
}

#[test]
fn a_missing_program_is_told_from_one_that_cannot_run() {
    in_userns("exec::a_missing_program_is_told_from_one_that_cannot_run", |bench| {
        let container = bench.stay(&shell(""));
        let check = |program: &str, message: &str, class: Class| {
            let mut process = shell("")["process"].clone();
            process["args"] = json!([program]);
            let error = container.try_exec(&process).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.class()), (message, class));
        };
        check("foo", r#"exec: "foo": executable file not found in $PATH"#, Class::NotFound);
        check("/foo", r#"exec: "/foo": stat /foo: no such file or directory"#, Class::NotFound);
        check("/etc/passwd", r#"exec: "/etc/passwd": permission denied"#, Class::NotExecutable);
        check("/etc", r#"exec: "/etc": is a directory"#, Class::NotExecutable);
    });
}

#[test]
fn an_exec_in_a_container_that_ended_is_a_conflict() {
    in_userns("exec::an_exec_in_a_container_that_ended_is_a_conflict", |bench| {
        let container = bench.stay(&shell(""));
        sys::pidfd::signal(&container.pidfd, 9).unwrap();
        assert!(sys::pidfd::poll_exit(&container.pidfd, None).unwrap());
        // The zombie is still there until it is waited for: its namespaces are not.
        assert!(container.try_exec(&shell("true")["process"]).is_err());
    });
}

#[test]
fn a_thousand_execs_leave_nothing_behind() {
    in_userns("exec::a_thousand_execs_leave_nothing_behind", |bench| {
        let container = bench.stay(&shell(""));
        let mut process = shell("")["process"].clone();
        process["args"] = json!(["/bin/true"]);
        let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        container.try_exec(&process).unwrap().success();
        let before = count();
        for _ in 0..1000 {
            container.try_exec(&process).unwrap().success();
        }
        assert_eq!(count(), before);
        // The container's one process, and this shell, which starts no other.
        assert_eq!(container.sh("set -- /proc/[0-9]*; echo $#"), "2\n");
    });
}
