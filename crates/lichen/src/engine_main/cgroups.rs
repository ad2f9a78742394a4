//! Whether limits can be enforced: is there a delegated directory of the unified hierarchy?

use anyhow::Result;
use engine::config::Cgroups;
use rustix::fs::Access;
use std::path::{Path, PathBuf};

/// Where containers' cgroups go, and the controllers that the engine may use there.
///
/// Delegation is write access to the directory and to its `cgroup.procs` and `cgroup.subtree_control`
/// (Documentation/admin-guide/cgroup-v2.rst, "Delegation"). The engine's own directory cannot have both processes and
/// children with controllers ("No Internal Process Constraint"), so the engine moves to a leaf of its own.
pub(super) fn detect() -> Cgroups {
    match try_detect() {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!("no cgroups: {error:#}");
            Cgroups::None
        }
    }
}

fn try_detect() -> Result<Cgroups> {
    let mount = Path::new("/sys/fs/cgroup");
    // On a hybrid host the unified hierarchy is elsewhere and has no controllers.
    if !mount.join("cgroup.controllers").exists() {
        return Ok(Cgroups::None);
    }
    let own = std::fs::read_to_string("/proc/self/cgroup")?;
    let Some(path) = own.lines().find_map(|l| l.strip_prefix("0::/")) else { return Ok(Cgroups::None) };
    // Started again by a launcher, the engine is in its leaf already.
    let parent = PathBuf::from(path.strip_suffix("/lichen-engine").unwrap_or(path));
    let dir = mount.join(&parent);
    let writable = |name: &str| rustix::fs::access(dir.join(name), Access::WRITE_OK).is_ok();
    if !(writable("") && writable("cgroup.procs") && writable("cgroup.subtree_control")) {
        return Ok(Cgroups::None);
    }
    let leaf = dir.join("lichen-engine");
    match std::fs::create_dir(&leaf) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    for pid in std::fs::read_to_string(dir.join("cgroup.procs"))?.lines() {
        std::fs::write(leaf.join("cgroup.procs"), pid)?;
    }
    let mut enabled = Vec::new();
    for controller in std::fs::read_to_string(dir.join("cgroup.controllers"))?.split_whitespace() {
        match std::fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}")) {
            Ok(()) => enabled.push(controller.to_owned()),
            Err(error) => tracing::debug!("controller {controller} cannot be used: {error}"),
        }
    }
    Ok(Cgroups::Cgroupfs { parent, controllers: enabled })
}
