//! How a detached mount of each kind is made, and what stands in where an unprivileged user may not make it.
//!
//! A user namespace may mount proc, sysfs, mqueue and cgroup2 only of namespaces it owns. With the host's PID, network,
//! IPC or cgroup namespace the kernel answers EPERM, and the host's own mount is bound instead, which shows the same.

use super::{MountKind, MountPlan, Options};
use crate::{GivenMount, root::Root};
use rustix::io::Errno;
use std::{os::fd::OwnedFd, path::Path};
use sys::mount::{self, Attributes};

pub(super) fn detached(plan: &MountPlan, root: &Root, given: &[GivenMount]) -> sys::Result<OwnedFd> {
    let options = &plan.options;
    match &plan.kind {
        MountKind::Bind { source, recursive } => {
            let mount = match given.iter().find(|g| g.source == *source) {
                Some(given) => rustix::io::fcntl_dupfd_cloexec(&given.mount, 3)
                    .map_err(sys::Error::of("fcntl", "F_DUPFD_CLOEXEC"))?,
                None => mount::clone_path(source, *recursive).map_err(|e| explain_bind(e, *recursive))?,
            };
            restrict_bind(mount, options)
        }
        MountKind::Proc => or_bind("proc", "proc", options, Path::new("/proc")),
        MountKind::Sysfs => or_bind("sysfs", "sysfs", options, Path::new("/sys")),
        MountKind::Mqueue => mqueue(options),
        MountKind::Devpts => devpts(options),
        MountKind::Cgroup => cgroup(options),
        MountKind::Other { kind, source } => {
            let mut options = options.clone();
            inherit_mode(kind, &mut options, plan, root);
            filesystem(kind, source, &options)
        }
    }
}

fn restrict_bind(mount: OwnedFd, options: &Options) -> sys::Result<OwnedFd> {
    let mut change = options.attributes;
    // "rw" is how a bind is anyway, unless the host's mount is read-only, which only its owner may change.
    if change.clear.contains(Attributes::RDONLY) && Attributes::of_mount(&mount)?.contains(Attributes::RDONLY)
    {
        change.clear = change.clear.without(Attributes::RDONLY);
    }
    if !change.is_empty() {
        mount::set_attributes(&mount, change.set, change.clear, false)?;
    }
    if !options.recursive.is_empty() {
        mount::set_attributes(&mount, options.recursive.set, options.recursive.clear, true)?;
    }
    Ok(mount)
}

/// In a user namespace a mount may not be separated from those that cover parts of it (mount_namespaces(7),
/// "Restrictions on mount namespaces").
fn explain_bind(mut error: sys::Error, recursive: bool) -> sys::Error {
    if error.errno == Errno::INVAL && !recursive {
        error.args += ", without the mounts below it: use a recursive bind (rbind)";
    }
    error
}

fn filesystem(kind: &str, source: &str, options: &Options) -> sys::Result<OwnedFd> {
    let data: Vec<&str> = options.data.iter().map(String::as_str).collect();
    let source = if source.is_empty() { kind } else { source };
    // A new mount has no attributes to clear; what is set recursively is set on it as well.
    let attributes = options.attributes.set.and(options.recursive.set);
    mount::new_filesystem(kind, Some(source), &data, attributes)
}

fn or_bind(kind: &str, source: &str, options: &Options, host: &Path) -> sys::Result<OwnedFd> {
    match filesystem(kind, source, options) {
        Err(e) if matches!(e.errno, Errno::PERM | Errno::ACCESS) => {
            bind_host(host, options).map_err(|second| {
                // The first error says why, the second only that the way around it is closed as well.
                if second.errno == Errno::NOENT { e } else { second }
            })
        }
        other => other,
    }
}

/// The host's mount with everything below it, as restricted as was asked for, all the way down.
fn bind_host(host: &Path, options: &Options) -> sys::Result<OwnedFd> {
    let mount = mount::clone_path(host, true)?;
    let attributes = options.attributes.set.and(options.recursive.set);
    if !attributes.is_empty() {
        mount::set_attributes(&mount, attributes, Attributes::NONE, true)?;
    }
    Ok(mount)
}

/// On a host that shows its queues nowhere there is nothing to bind: then an empty directory. mq_open(3) needs none.
fn mqueue(options: &Options) -> sys::Result<OwnedFd> {
    match or_bind("mqueue", "mqueue", options, Path::new("/dev/mqueue")) {
        Err(e) if matches!(e.errno, Errno::PERM | Errno::ACCESS) => empty("mqueue", options),
        other => other,
    }
}

fn empty(source: &str, options: &Options) -> sys::Result<OwnedFd> {
    let data = ["nr_blocks=1", "nr_inodes=1", "mode=0755"].map(str::to_owned).into();
    filesystem("tmpfs", source, &Options { data, ..options.clone() })
}

/// `gid=5` (tty) cannot be had where only one group is mapped; the terminals then belong to their opener's group.
fn devpts(options: &Options) -> sys::Result<OwnedFd> {
    match filesystem("devpts", "devpts", options) {
        Err(e) if e.errno == Errno::INVAL && options.data.iter().any(|o| o.starts_with("gid=")) => {
            let mut options = options.clone();
            options.data.retain(|o| !o.starts_with("gid="));
            filesystem("devpts", "devpts", &options)
        }
        other => other,
    }
}

/// Always the unified hierarchy: on v1 and hybrid hosts too, where it has no controllers, which is the truth about a
/// container without limits. Options are those of v1 (`xattr`, `name=`) and mean nothing to it.
fn cgroup(options: &Options) -> sys::Result<OwnedFd> {
    let options = Options { data: Vec::new(), ..options.clone() };
    match or_bind("cgroup2", "cgroup", &options, Path::new("/sys/fs/cgroup")) {
        // Neither: an empty directory, as on a machine without cgroups.
        Err(e)
            if matches!(e.errno, Errno::PERM | Errno::ACCESS | Errno::BUSY | Errno::INVAL | Errno::NODEV) =>
        {
            empty("cgroup", &options)
        }
        other => other,
    }
}

/// A tmpfs without `mode=` takes over the mode of the directory it covers (runc, `mountToRootfs`): /tmp stays 1777.
fn inherit_mode(kind: &str, options: &mut Options, plan: &MountPlan, root: &Root) {
    if kind != "tmpfs" || options.data.iter().any(|o| o.starts_with("mode=")) {
        return;
    }
    if let Ok(stat) = root.resolve(&plan.destination).and_then(|fd| rustix::fs::fstat(&fd)) {
        options.data.push(format!("mode={:o}", stat.st_mode & 0o7777));
    }
}
