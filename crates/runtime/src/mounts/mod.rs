//! A container's mounts, made inside its own mount namespace before pivot_root(2).
//!
//! Every mount is made detached, configured, and attached to a target that was resolved to a descriptor below the
//! container's root. A hostile image, or another container that shares a volume and renames directories meanwhile, can
//! choose where below the root a mount ends up, never outside of it (CVE-2021-30465, CVE-2019-19921, CVE-2023-27561,
//! CVE-2025-31133, CVE-2025-52565).

mod copy_up;
mod kinds;
mod options;

pub use options::mount_options;
pub(crate) use options::{Options, propagation};

use crate::{
    Error, Failure, GivenMount, Result,
    report::{At, failed},
    root::{self, Root},
};
use oci_spec::runtime::{Mount, Spec};
use rustix::io::Errno;
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// One validated mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountPlan {
    pub(crate) destination: PathBuf,
    pub(crate) kind: MountKind,
    pub(crate) options: Options,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MountKind {
    Bind {
        source: PathBuf,
        recursive: bool,
    },
    Proc,
    Sysfs,
    Mqueue,
    Devpts,
    Cgroup,
    /// tmpfs, overlay, and whatever else the kernel lets a user namespace mount.
    Other {
        kind: String,
        source: String,
    },
}

/// What all of the specification's mounts ask for.
pub(crate) fn plan(spec: &Spec) -> Result<Vec<MountPlan>> {
    spec.mounts().iter().flatten().map(plan_one).collect()
}

fn plan_one(mount: &Mount) -> Result<MountPlan> {
    let options = Options::parse(mount.options().as_deref().unwrap_or_default())?;
    let has_maps = |maps: &Option<Vec<_>>| maps.as_ref().is_some_and(|m| !m.is_empty());
    if has_maps(mount.uid_mappings()) || has_maps(mount.gid_mappings()) {
        let reason = format!("{}: an unprivileged user cannot map mounts", mount.destination().display());
        return Err(Error::Unsupported { what: "ID-mapped mount", reason });
    }
    let source = mount.source().clone().unwrap_or_default();
    let typ = mount.typ().as_deref().unwrap_or_default();
    let kind = match (options.bind, typ) {
        (Some(recursive), _) => MountKind::Bind { source, recursive },
        (None, "bind") => MountKind::Bind { source, recursive: false },
        (None, "proc") => MountKind::Proc,
        (None, "sysfs") => MountKind::Sysfs,
        (None, "mqueue") => MountKind::Mqueue,
        (None, "devpts") => MountKind::Devpts,
        (None, "cgroup" | "cgroup2") => MountKind::Cgroup,
        (None, "") => {
            let reason = format!("{} has neither a type nor the option bind", mount.destination().display());
            return Err(Error::Spec { field: "mounts", reason });
        }
        (None, kind) => {
            MountKind::Other { kind: kind.to_owned(), source: source.to_string_lossy().into_owned() }
        }
    };
    Ok(MountPlan { destination: root::clean(mount.destination()), kind, options })
}

/// Makes one mount and attaches it. Returns the attached mount.
pub(crate) fn carry_out(plan: &MountPlan, root: &Root, given: &[GivenMount]) -> Result<OwnedFd, Failure> {
    let at = &plan.destination.display();
    let mount = kinds::detached(plan, root, given).at("mount", at)?;
    let target = target(plan, root, &mount)?;
    if plan.options.copy_up {
        copy_up::copy(root, &plan.destination, &mount).at("copy up", at)?;
    }
    sys::mount::attach(&mount, &target).at("attach mount", at)?;
    for (propagation, recursive) in &plan.options.propagation {
        sys::mount::set_propagation(&mount, *propagation, *recursive).at("set propagation", at)?;
    }
    Ok(mount)
}

/// The file or directory that the mount covers, made where it is missing.
fn target(plan: &MountPlan, root: &Root, mount: &OwnedFd) -> Result<OwnedFd, Failure> {
    let path = &plan.destination;
    let (step, at) = ("resolve mount target", &path.display());
    match plan.kind {
        // A link here would let an image choose which directory later writes to /proc and /sys reach
        // (CVE-2019-19921, CVE-2023-27561).
        MountKind::Proc | MountKind::Sysfs => ordinary_directory(root, path).at(step, at),
        MountKind::Bind { .. } if !root::is_directory(mount).map_err(failed("fstat"))? => {
            let target = root.make_file(path).at(step, at)?;
            refuse_procfs(&target, path)?;
            Ok(target)
        }
        _ => {
            let target = root.make_directory(path).at(step, at)?;
            if matches!(plan.kind, MountKind::Bind { .. } | MountKind::Other { .. }) {
                refuse_procfs(&target, path)?;
            }
            Ok(target)
        }
    }
}

fn ordinary_directory(root: &Root, path: &Path) -> Result<OwnedFd, Errno> {
    match root.resolve_without_links(path) {
        Err(Errno::NOENT) => {
            root.make_directory(path)?;
            root.resolve_without_links(path)
        }
        other => other,
    }
}

/// Files below /proc that may be covered: what lxcfs provides, and no key to anything (runc, `checkProcMount`).
const COVERABLE: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Asked of what was resolved, not of the path, so that no link leads around it (CVE-2019-16884).
fn refuse_procfs(target: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let found = rustix::fs::fstatfs(target).map_err(failed("fstatfs"))?;
    if found.f_type != rustix::fs::PROC_SUPER_MAGIC || COVERABLE.iter().any(|c| Path::new(c) == path) {
        return Ok(());
    }
    Err("it is inside /proc").at("cannot mount", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(json: &str) -> Result<MountPlan> {
        plan_one(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_bind_option_decides_over_the_type() {
        let plan =
            planned(r#"{"destination":"/x","type":"none","source":"/y","options":["rbind"]}"#).unwrap();
        assert_eq!(plan.kind, MountKind::Bind { source: "/y".into(), recursive: true });
        let plan = planned(r#"{"destination":"/x","type":"bind","source":"/y"}"#).unwrap();
        assert_eq!(plan.kind, MountKind::Bind { source: "/y".into(), recursive: false });
    }

    #[test]
    fn a_mount_of_no_type_is_refused() {
        assert!(planned(r#"{"destination":"/x"}"#).unwrap_err().to_string().contains("/x"));
    }

    #[test]
    fn mapped_mounts_are_refused_by_name() {
        let json = r#"{"destination":"/x","type":"bind","options":["bind"],
            "uidMappings":[{"containerID":0,"hostID":0,"size":1}],"gidMappings":[]}"#;
        assert!(planned(json).unwrap_err().to_string().contains("ID-mapped"));
    }
}
