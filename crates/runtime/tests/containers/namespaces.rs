use crate::support::*;
use serde_json::{Value, json};
use std::os::fd::AsFd;
use sys::namespaces::{Kind, identity_of};

fn without(mut spec: Value, kind: &str) -> Value {
    spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != kind);
    spec
}

#[test]
fn the_container_has_its_own_namespaces_and_names() {
    in_userns("namespaces::the_container_has_its_own_namespaces_and_names", |bench| {
        let mut spec = shell("");
        spec["domainname"] = json!("example.org");
        let container = bench.stay(&spec);
        for kind in [Kind::Mount, Kind::Pid, Kind::Ipc, Kind::Uts, Kind::Net, Kind::Cgroup] {
            let (own, theirs) =
                (identity_of(None, kind).unwrap(), identity_of(Some(container.process.pid), kind).unwrap());
            assert_ne!(own, theirs, "{kind:?}");
        }
        assert_eq!(
            container.sh("hostname; cat /proc/sys/kernel/domainname; ps | grep -c '[s]leep'"),
            "measured\nexample.org\n1\n"
        );
        assert!(container.sh("ip link show lo").contains("UP"));
    });
}

#[test]
fn a_network_namespace_is_joined_by_descriptor_and_by_path() {
    in_userns("namespaces::a_network_namespace_is_joined_by_descriptor_and_by_path", |bench| {
        let first = bench.stay(&shell(""));
        let pid = first.process.pid;
        let expected = identity_of(Some(pid), Kind::Net).unwrap().inode.to_string();
        let mut spec = without(shell("readlink /proc/self/ns/net"), "network");
        // Parameters of a network that is somebody else's are set all the same: it is not the host's.
        let path = format!("/proc/{pid}/ns/net");
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "network", "path": path}));
        assert!(bench.run(&spec).success().contains(&expected));

        let (fd, io) = (sys::namespaces::open_of(pid, Kind::Net).unwrap(), Io::new());
        let root = sys::overlay::mount_detached(&model::Rootfs::Dir { path: bench.rootfs.clone() }).unwrap();
        let spec = parse(&shell("readlink /proc/self/ns/net"));
        let created = bench.create_on(&spec, root.as_fd(), Some(fd.as_fd()), io.stdio()).unwrap();
        created.pending.start().unwrap();
        assert!(io.finish(&created.pidfd, created.warnings).success().contains(&expected));
    });
}

#[test]
fn a_pid_namespace_can_be_shared_with_another_container() {
    in_userns("namespaces::a_pid_namespace_can_be_shared_with_another_container", |bench| {
        let first = bench.stay(&shell(""));
        let own = identity_of(None, Kind::Pid).unwrap();
        let mut spec = without(shell("ps | grep -c '[s]leep 1000'; test $$ != 1"), "pid");
        let path = format!("/proc/{}/ns/pid", first.process.pid);
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "pid", "path": path}));
        assert_eq!(bench.run(&spec).success(), "1\n");
        assert_eq!(identity_of(None, Kind::Pid).unwrap(), own);
        // And the creator's later children are its own again.
        assert_eq!(bench.sh("echo $$"), "1\n");
    });
}

#[test]
fn the_hosts_pid_ipc_and_network_namespaces_can_be_kept() {
    in_userns("namespaces::the_hosts_pid_ipc_and_network_namespaces_can_be_kept", |bench| {
        let mut spec = shell("ls -d /proc/1 /sys/class/net; test -d /dev/mqueue && echo queue");
        for kind in ["pid", "ipc", "cgroup"] {
            spec = without(spec, kind);
        }
        spec = without(spec, "network");
        spec["linux"]["sysctl"] = json!({});
        // The host's proc cannot be masked where it is mounted already masked; what matters is that it starts.
        assert_eq!(bench.run(&spec).success(), "/proc/1\n/sys/class/net\nqueue\n");
    });
}

#[test]
fn a_container_can_have_a_user_namespace_of_its_own() {
    in_userns("namespaces::a_container_can_have_a_user_namespace_of_its_own", |bench| {
        let mut spec = shell("");
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        spec["linux"]["uidMappings"] = maps(1000);
        spec["linux"]["gidMappings"] = maps(1000);
        let container = bench.stay(&spec);
        assert_ne!(
            identity_of(None, Kind::User).unwrap(),
            identity_of(Some(container.process.pid), Kind::User).unwrap()
        );
        let map = container.sh("cat /proc/self/uid_map; id -u");
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "0", "1", "1", "1", "999", "0"]);
    });
}

#[test]
fn parameters_of_the_containers_own_namespaces_are_set() {
    in_userns("namespaces::parameters_of_the_containers_own_namespaces_are_set", |bench| {
        let mut spec = shell(
            "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start",
        );
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096", "net/ipv4/ip_unprivileged_port_start": "7"});
        assert_eq!(bench.run(&spec).success(), "1\n4096\n7\n");
        spec["linux"]["sysctl"] = json!({"kernel.panic": "1"});
        assert!(bench.try_run(&spec).unwrap_err().to_string().contains("kernel.panic"));
    });
}
