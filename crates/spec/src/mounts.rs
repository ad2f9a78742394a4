//! The file systems of a container, in the order they are mounted.

use crate::{
    Error,
    plan::{BindPropagation, ContainerPlan, Ipc, Namespace, PlannedMount},
};
use oci_spec::runtime::{Mount, MountBuilder};
use std::path::{Path, PathBuf};

/// Docker's default mounts, less those that the plan replaces, then the plan's.
pub(crate) fn all(plan: &ContainerPlan) -> Result<Vec<Mount>, Error> {
    let replaced =
        |mount: &Mount| plan.mounts.iter().any(|m| normal(m.destination()) == *mount.destination());
    let mut mounts: Vec<Mount> = defaults(plan)?.into_iter().filter(|m| !replaced(m)).collect();
    // Outer before inner, whatever order they were asked for in: /data must not cover /data/sub.
    let mut planned: Vec<&PlannedMount> = plan.mounts.iter().collect();
    planned.sort_by_key(|m| normal(m.destination()).components().count());
    for planned in planned {
        mounts.push(render(planned)?);
    }
    Ok(mounts)
}

fn defaults(plan: &ContainerPlan) -> Result<Vec<Mount>, Error> {
    let pts = if plan.many_ids {
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"][..]
    } else {
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"][..]
    };
    let mut mounts = vec![
        proc(plan)?,
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount("/dev/pts", "devpts", "devpts", pts)?,
        sys(plan)?,
    ];
    let read_only: &[&str] = if plan.privileged { &[] } else { &["ro"] };
    mounts.push(mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &[&["nosuid", "noexec", "nodev"], read_only].concat(),
    )?);
    mounts.extend(ipc(&plan.namespaces.ipc)?);
    Ok(mounts)
}

/// A new procfs needs a PID namespace of our own (proc(5) mounts are refused otherwise, user_namespaces(7)); with the
/// host's, the host's is shown.
fn proc(plan: &ContainerPlan) -> Result<Mount, Error> {
    match plan.namespaces.pid {
        Namespace::Host => mount("/proc", "bind", "/proc", &["rbind", "nosuid", "noexec", "nodev"]),
        _ => mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    }
}

/// Likewise, a new sysfs needs a network namespace of our own.
fn sys(plan: &ContainerPlan) -> Result<Mount, Error> {
    let read_only: &[&str] = if plan.privileged { &[] } else { &["ro"] };
    match plan.namespaces.network {
        Namespace::Host => mount(
            "/sys",
            "bind",
            "/sys",
            &[&["rbind", "rslave", "nosuid", "noexec", "nodev"], read_only].concat(),
        ),
        _ => mount("/sys", "sysfs", "sysfs", &[&["nosuid", "noexec", "nodev"], read_only].concat()),
    }
}

fn ipc(ipc: &Ipc) -> Result<Vec<Mount>, Error> {
    let queue = || mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
    let shm = |source: &Path| {
        mount(
            "/dev/shm",
            "bind",
            &source.to_string_lossy(),
            &["rbind", "rprivate", "nosuid", "noexec", "nodev"],
        )
    };
    Ok(match ipc {
        Ipc::Private { shm_size } => {
            let size = format!("size={shm_size}");
            vec![
                queue()?,
                mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size])?,
            ]
        }
        Ipc::NoShm => vec![queue()?],
        // The host's message queues belong to a user namespace above ours: they can only be shown, not mounted anew.
        Ipc::Host { has_mqueue: true } => vec![
            mount("/dev/mqueue", "bind", "/dev/mqueue", &["rbind", "nosuid", "noexec", "nodev"])?,
            shm(Path::new("/dev/shm"))?,
        ],
        Ipc::Host { has_mqueue: false } => vec![shm(Path::new("/dev/shm"))?],
        Ipc::Join { shm: path, .. } => vec![queue()?, shm(path)?],
    })
}

fn render(planned: &PlannedMount) -> Result<Mount, Error> {
    match planned {
        PlannedMount::Tmpfs { destination, options } => {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            mount(&normal(destination).to_string_lossy(), "tmpfs", "tmpfs", &options)
        }
        PlannedMount::Bind {
            source,
            destination,
            read_only,
            recursive_read_only,
            non_recursive,
            propagation,
        } => {
            let mut options = vec![if *non_recursive { "bind" } else { "rbind" }];
            if *read_only {
                options.push("ro");
            }
            if *recursive_read_only {
                options.push("rro");
            }
            options.push(propagation.as_str());
            mount(&normal(destination).to_string_lossy(), "bind", &source.to_string_lossy(), &options)
        }
    }
}

/// The propagation that the root itself needs for the plan's binds to have theirs (moby does the same).
pub(crate) fn root_propagation(plan: &ContainerPlan) -> &'static str {
    let wanted = plan.mounts.iter().filter_map(|m| match m {
        PlannedMount::Bind { propagation, .. } => Some(*propagation),
        PlannedMount::Tmpfs { .. } => None,
    });
    wanted.fold("rprivate", |root, wanted| match (root, wanted) {
        (_, BindPropagation::RShared | BindPropagation::Shared) => "rshared",
        ("rprivate", BindPropagation::RSlave | BindPropagation::Slave) => "rslave",
        (root, _) => root,
    })
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Result<Mount, Error> {
    Ok(MountBuilder::default()
        .destination(PathBuf::from(destination))
        .typ(kind)
        .source(PathBuf::from(source))
        .options(options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
        .build()?)
}

/// `/a//b/./c/` is `/a/b/c`. Parents (`..`) are taken as text, as Docker takes them.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => result.push(name),
            std::path::Component::ParentDir => {
                result.pop();
            }
            _ => {}
        }
    }
    result
}
