//! What the holder makes of an unprivileged user's subordinate IDs.

use crate::host::{Host, PIPES};
use model::Id;
use shim_proto::{FailureClass, FromHolder, FromShim, ToHolder, ToShim};
use std::fs;
use testing::{as_user, in_userns};

fn proc(host: &Host, file: &str) -> String {
    format!("/proc/{}/{file}", host.holder.pid)
}

#[test]
fn a_user_with_subordinate_ids_gets_all_of_them() {
    as_user("namespaces::a_user_with_subordinate_ids_gets_all_of_them", || {
        let host = Host::new();
        for map in ["uid_map", "gid_map"] {
            let text = fs::read_to_string(proc(&host, map)).unwrap();
            let ids: u64 =
                text.lines().map(|l| l.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap()).sum();
            assert!(ids > 65_536, "{map}: {text}");
        }
        assert!(host.ensure().warnings.is_empty());
    });
}

#[test]
fn etc_and_run_are_private_and_show_what_the_host_replaces() {
    as_user("namespaces::etc_and_run_are_private_and_show_what_the_host_replaces", || {
        let host = Host::new();
        assert_eq!(fs::read_link(proc(&host, "root/etc/passwd")).unwrap().to_str(), Some(".ro/passwd"));
        assert_eq!(fs::read(proc(&host, "root/etc/passwd")).unwrap(), fs::read("/etc/passwd").unwrap());
        assert!(fs::symlink_metadata(proc(&host, "root/run/.ro")).unwrap().is_dir());
        let mounts = fs::read_to_string(proc(&host, "mountinfo")).unwrap();
        let shared: Vec<&str> = mounts.lines().filter(|l| l.contains(" shared:")).collect();
        assert!(shared.is_empty(), "nothing may propagate to the host: {shared:?}");
    });
}

#[test]
fn the_router_namespace_is_detached_and_its_loopback_is_up() {
    as_user("namespaces::the_router_namespace_is_detached_and_its_loopback_is_up", || {
        let host = Host::new();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        assert_eq!(
            fs::read_link(proc(&host, "ns/net")).unwrap(),
            own,
            "shims start in the host's network namespace"
        );
        let output = std::process::Command::new("nsenter")
            .args(["-U", "--preserve-credentials", "-m", "-t", &host.holder.pid.to_string()])
            .args([
                "nsenter",
                &format!("--net={}", host.run.router_netns().display()),
                "cat",
                "/proc/net/fib_trie",
            ])
            .output()
            .unwrap();
        let routes = String::from_utf8(output.stdout).unwrap();
        assert!(routes.contains("127.0.0.1"), "{routes}{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn a_holder_with_containers_does_not_end_and_one_without_leaves_nothing() {
    in_userns("namespaces::a_holder_with_containers_does_not_end_and_one_without_leaves_nothing", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["true"], PIPES));
        let refused = host.ask_holder(&ToHolder::Shutdown { wait: false });
        let FromHolder::Failed(failure) = refused else { panic!("it ended") };
        assert_eq!(failure.class, FailureClass::Conflict, "{failure}");
        shim.exited();
        shim.done(ToShim::Shutdown);
        // The shim has answered; the holder waits until it is gone.
        assert!(matches!(host.ask_holder(&ToHolder::Shutdown { wait: true }), FromHolder::Done));
        assert!(!host.run.holder_state().exists() && !host.run.holder_socket().exists());
    });
}

#[test]
fn a_shim_has_nothing_of_the_holders_or_of_other_containers() {
    in_userns("namespaces::a_shim_has_nothing_of_the_holders_or_of_other_containers", || {
        let (host, first) = (Host::new(), Id::random());
        // The holder keeps this one's streams from here on.
        let mut running = host.shim(&first, false);
        running.run(host.create(&first, &["sleep", "60"], PIPES));
        let id = Id::random();
        let mut shim = host.shim(&id, false);
        assert!(matches!(shim.ask(ToShim::State), FromShim::State(_)));
        let pid = shim.process.unwrap().pid;
        let of = |entry: fs::DirEntry| fs::read_link(entry.path()).unwrap().display().to_string();
        let open: Vec<String> =
            fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|entry| of(entry.unwrap())).collect();
        let count = |kind: &str| open.iter().filter(|target| target.starts_with(kind)).count();
        // The listening socket, the connections to engine and holder; the signals; input, output, the holder's log.
        assert_eq!((count("socket:"), count("anon_inode:[signalfd]"), open.len()), (3, 1, 7), "{open:?}");
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().replace('\0', " ");
        assert!(line.starts_with("lichen-shim shim ") && line.contains(id.short()), "{line}");
        let blocked = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(blocked.lines().any(|l| l == "SigBlk:\t0000000000010000"), "SIGCHLD alone: {blocked}");
    });
}

#[test]
fn descriptors_that_a_shim_cannot_have_are_refused() {
    in_userns("namespaces::descriptors_that_a_shim_cannot_have_are_refused", || {
        let host = Host::new();
        for fds in [vec![1], vec![64], vec![3]] {
            let request = ToHolder::Spawn { args: vec!["shim".into()], fds };
            let FromHolder::Failed(failure) = host.ask_holder(&request) else { panic!("it was started") };
            assert_eq!(failure.class, FailureClass::InvalidParameter, "{failure}");
        }
        let FromHolder::Failed(failure) = host.ask_holder(&ToHolder::Take { key: "none".into() }) else {
            panic!()
        };
        assert_eq!(failure.class, FailureClass::NoSuchObject);
    });
}
