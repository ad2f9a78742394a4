//! Which cgroup driver there is: by what this host lets its user do, unless `native.cgroupdriver` says.

use super::causes;
use crate::daemon::config::{CgroupDriver, Config};
use anyhow::{Context, Result, bail, ensure};
use engine::cgroups::{Bus, Cgroups, MOUNT, Systemd};
use rustix::fs::Access;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The leaf that the engine and what it starts live in.
const LEAF: &str = "lichen-engine";
/// Programs that are being started while a cgroup is emptied are found by looking again; this often is enough for all
/// that a shell can have begun.
const LOOKS: usize = 100;

/// Where containers' cgroups go, and the controllers that the engine may use there. `uid` is the user's on the host.
///
/// # Errors
/// Only when a driver was asked for that does not work here.
pub(super) fn detect(config: &Config, uid: u32) -> Result<Cgroups> {
    let parent = config.cgroups.parent.as_deref();
    match config.cgroups.driver {
        Some(CgroupDriver::None) => Ok(Cgroups::None),
        Some(CgroupDriver::Systemd) => systemd(config, uid).context("--exec-opt native.cgroupdriver=systemd"),
        Some(CgroupDriver::Cgroupfs) => cgroupfs(parent).context("--exec-opt native.cgroupdriver=cgroupfs"),
        None => Ok(systemd(config, uid)
            .or_else(|no_systemd| {
                // A parent that is a slice was meant for the other driver, and is none to complain of here.
                let parent = parent.filter(|p| !engine::cgroups::is_slice(p));
                cgroupfs(parent).inspect_err(|no_cgroupfs| {
                    let [no_systemd, no_cgroupfs] = [&no_systemd, no_cgroupfs].map(causes::line);
                    tracing::info!(
                        "limits cannot be enforced: {no_systemd}; nor is a cgroup delegated: {no_cgroupfs}"
                    );
                })
            })
            .unwrap_or(Cgroups::None)),
    }
}

fn unified() -> Result<()> {
    // On a hybrid host the unified hierarchy is elsewhere and has no controllers.
    ensure!(Path::new(MOUNT).join("cgroup.controllers").exists(), "{MOUNT} is not cgroup v2");
    Ok(())
}

/// Called from a thread for blocking work, which may wait for the connection.
fn systemd(config: &Config, uid: u32) -> Result<Cgroups> {
    unified()?;
    let bus = Bus::new(&config.places.runtime, std::env::var("DBUS_SESSION_BUS_ADDRESS").ok(), uid);
    let connect = Systemd::connect(bus, config.cgroups.parent.clone());
    Ok(Cgroups::Systemd(Arc::new(tokio::runtime::Handle::current().block_on(connect)?)))
}

/// Delegation is write access to the directory and to its `cgroup.procs` and `cgroup.subtree_control`
/// (Documentation/admin-guide/cgroup-v2.rst, "Delegation"). The engine's own directory cannot have both processes and
/// children with controllers ("No Internal Process Constraint"), so the engine moves to a leaf of its own.
fn cgroupfs(below: Option<&str>) -> Result<Cgroups> {
    unified()?;
    let own = std::fs::read_to_string("/proc/self/cgroup").context("read /proc/self/cgroup")?;
    let path = own.lines().find_map(|l| l.strip_prefix("0::/")).context("this process has no cgroup")?;
    // Started again by a launcher, the engine is in its leaf already.
    let parent = PathBuf::from(path.strip_suffix(LEAF).unwrap_or(path).trim_end_matches('/'));
    let dir = Path::new(MOUNT).join(&parent);
    for name in ["", "cgroup.procs", "cgroup.subtree_control"] {
        let file = dir.join(name);
        rustix::fs::access(&file, Access::WRITE_OK).with_context(|| format!("write {}", file.display()))?;
    }
    empty(&dir)?;
    let mut enabled = Vec::new();
    for controller in std::fs::read_to_string(dir.join("cgroup.controllers"))?.split_whitespace() {
        match std::fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}")) {
            Ok(()) => enabled.push(controller.to_owned()),
            Err(error) => tracing::debug!("controller {controller} cannot be used: {error}"),
        }
    }
    let cgroups = Cgroups::Cgroupfs { parent: parent.clone(), controllers: enabled.clone() };
    let below = below.unwrap_or_default();
    cgroups.check_parent(below)?;
    Ok(Cgroups::Cgroupfs { parent: parent.join(below.trim_start_matches('/')), controllers: enabled })
}

fn empty(dir: &Path) -> Result<()> {
    let leaf = dir.join(LEAF);
    match std::fs::create_dir(&leaf) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("make {}", leaf.display()));
        }
        _ => {}
    }
    let (from, to) = (dir.join("cgroup.procs"), leaf.join("cgroup.procs"));
    for _ in 0..LOOKS {
        let inside = std::fs::read_to_string(&from).with_context(|| format!("read {}", from.display()))?;
        if inside.is_empty() {
            return Ok(());
        }
        for pid in inside.lines() {
            match std::fs::write(&to, pid) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                written => written.with_context(|| format!("move process {pid} to {}", leaf.display()))?,
            }
        }
    }
    bail!("processes keep appearing in {}", dir.display())
}
