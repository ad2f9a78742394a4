use super::*;
use crate::{BindPropagation, Namespaces, PlannedMount, paths};
use model::Id;
use std::collections::BTreeMap;

fn plan() -> ContainerPlan {
    ContainerPlan {
        id: Id::random(),
        args: vec!["sh".into()],
        env: vec!["PATH=/bin".into()],
        cwd: "/".into(),
        terminal: false,
        console_size: None,
        hostname: Some("box".into()),
        domainname: None,
        namespaces: Namespaces {
            pid: Namespace::New,
            uts: Namespace::New,
            ipc: Ipc::Private { shm_size: 67_108_864 },
            network: Namespace::Join("/proc/7/ns/net".into()),
            cgroup: Namespace::New,
        },
        mounts: vec![],
        capabilities: caps::resolve(&[], &[], false).unwrap(),
        privileged: false,
        no_new_privileges: false,
        seccomp: None,
        masked_paths: paths::MASKED.iter().map(|p| (*p).to_owned()).collect(),
        readonly_paths: paths::READ_ONLY.iter().map(|p| (*p).to_owned()).collect(),
        devices: vec![],
        rlimits: vec![Rlimit { name: "nofile".into(), soft: 10, hard: 20 }],
        sysctls: BTreeMap::new(),
        resources: None,
        cgroup_path: None,
        oom_score_adj: None,
        readonly_rootfs: false,
        many_ids: true,
        annotations: BTreeMap::new(),
    }
}

fn options(spec: &Spec, destination: &str) -> Vec<String> {
    let mounts = spec.mounts().as_ref().unwrap();
    let found: Vec<_> = mounts.iter().filter(|m| m.destination().as_os_str() == destination).collect();
    assert_eq!(found.len(), 1, "{destination} is mounted once");
    found[0].options().clone().unwrap()
}

#[test]
fn a_plain_container_is_locked_down() {
    let mut spec = render(&plan()).unwrap();
    // Sets print in no fixed order; capabilities have tests of their own.
    spec.process_mut().as_mut().unwrap().set_capabilities(None);
    insta::assert_json_snapshot!(spec);
}

#[test]
fn host_namespaces_show_the_hosts_proc_and_sys() {
    let mut host = plan();
    host.namespaces.pid = Namespace::Host;
    host.namespaces.network = Namespace::Host;
    host.namespaces.ipc = Ipc::Host { has_mqueue: true };
    host.namespaces.uts = Namespace::Host;
    let spec = render(&host).unwrap();
    assert!(options(&spec, "/proc").contains(&"rbind".into()));
    assert!(options(&spec, "/sys").contains(&"ro".into()));
    assert!(spec.hostname().is_none(), "the host's name is not ours to set");
    let kinds: Vec<_> =
        spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().iter().map(|n| n.typ()).collect();
    assert_eq!(kinds, [LinuxNamespaceType::Mount, LinuxNamespaceType::Cgroup]);
}

#[test]
fn a_planned_mount_replaces_a_default_one_and_outer_come_first() {
    let bind = |destination: &str| PlannedMount::Bind {
        source: "/src".into(),
        destination: destination.into(),
        read_only: true,
        recursive_read_only: false,
        non_recursive: false,
        propagation: BindPropagation::RSlave,
    };
    let mut plan = plan();
    plan.mounts = vec![bind("/data/sub/"), bind("/dev/shm"), bind("/data")];
    let spec = render(&plan).unwrap();
    assert_eq!(options(&spec, "/dev/shm"), ["rbind", "ro", "rslave"]);
    let order: Vec<_> =
        spec.mounts().as_ref().unwrap().iter().map(|m| m.destination().display().to_string()).collect();
    let place = |d: &str| order.iter().position(|o| o == d).unwrap();
    assert!(place("/data") < place("/data/sub"));
    assert_eq!(spec.linux().as_ref().unwrap().rootfs_propagation().as_deref(), Some("rslave"));
}

#[test]
fn a_privileged_container_has_devices_and_the_filter_it_is_given() {
    let mut privileged = plan();
    privileged.privileged = true;
    // Which is none, unless its own was asked for: the plan decides.
    let filter =
        crate::seccomp::default_filter(&crate::seccomp::Conditions::here(&privileged.capabilities)).unwrap();
    privileged.seccomp = Some(filter.clone());
    let spec = render(&privileged).unwrap();
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.seccomp().as_ref(), Some(&filter));
    assert!(linux.devices().as_ref().unwrap().iter().any(|d| d.path().as_os_str() == "/dev/null"));
    assert!(!options(&spec, "/sys").contains(&"ro".into()));
}

#[test]
fn an_unknown_limit_is_named() {
    let mut plan = plan();
    plan.rlimits[0].name = "nope".into();
    assert!(render(&plan).unwrap_err().to_string().contains("ulimit \"nope\" does not exist"));
}
