//! A container as its state directory describes it.

use super::{
    args::Global,
    store::{Directory, State},
};
use anyhow::{Result, bail};
use oci_spec::runtime::{ContainerState, Spec};
use runtime::Cgroup;
use std::path::Path;

pub(super) struct Container {
    pub(super) directory: Directory,
    pub(super) state: State,
    pub(super) spec: Spec,
}

/// Where cgroup v2 is mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

impl Container {
    pub(super) fn open(global: &Global, id: &str) -> Result<Self> {
        let directory = Directory::open(global, id)?;
        let (state, spec) = (directory.state()?, directory.spec()?);
        Ok(Self { directory, state, spec })
    }

    pub(super) fn status(&self) -> ContainerState {
        if !sys::process::is_running(self.state.init) {
            ContainerState::Stopped
        } else if self.directory.is_waiting() {
            ContainerState::Created
        } else {
            ContainerState::Running
        }
    }

    pub(super) fn is_paused(&self) -> Result<bool> {
        Ok(self.status() == ContainerState::Running && self.cgroup()?.is_frozen()?)
    }

    pub(super) fn cgroup(&self) -> Result<Cgroup> {
        Ok(match &self.state.cgroup {
            Some(path) => Cgroup::open(path)?,
            None => Cgroup::none("no cgroup was made for the container"),
        })
    }

    /// The processes of the container, as the caller's PID namespace numbers them.
    pub(super) fn pids(&self) -> Result<Vec<u32>> {
        match self.cgroup()? {
            Cgroup::None { .. } => pids_by_namespace(self.state.init.pid),
            cgroup => Ok(cgroup.pids()?),
        }
    }
}

/// Makes the cgroup that the specification asks for, or says why there is none.
pub(super) fn make_cgroup(spec: &Spec, id: &str) -> Result<Cgroup> {
    let is_v2 = rustix::fs::statfs(CGROUPS).is_ok_and(|s| s.f_type == 0x6367_7270);
    if !is_v2 {
        return Ok(Cgroup::none("cgroup v2 is not mounted at /sys/fs/cgroup"));
    }
    let wanted = spec.linux().as_ref().and_then(|l| l.cgroups_path().clone()).filter(|p| p != Path::new(""));
    let wanted = wanted.unwrap_or_else(|| Path::new("lichen-oci").join(id));
    let below = wanted.strip_prefix("/").unwrap_or(&wanted);
    if below.components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
        bail!("linux.cgroupsPath: {} leads out of its hierarchy", wanted.display());
    }
    let path = Path::new(CGROUPS).join(below);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        bail!("linux.cgroupsPath: {} is no path", wanted.display());
    };
    if let Err(e) = std::fs::create_dir_all(parent) {
        return Ok(Cgroup::none(format!("{}: {e}", parent.display())));
    }
    match Cgroup::create(parent, name) {
        Err(runtime::Error::Cgroup { path, source, .. }) if is_refusal(&source) => {
            Ok(Cgroup::none(format!("{}: {source}", path.display())))
        }
        other => Ok(other?),
    }
}

fn is_refusal(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// Without a cgroup: whoever lives in the init's PID namespace, unless that is the caller's own.
fn pids_by_namespace(init: u32) -> Result<Vec<u32>> {
    use sys::namespaces::{Kind, identity_of};
    let namespace = identity_of(Some(init), Kind::Pid)?;
    if namespace == identity_of(None, Kind::Pid)? {
        return Ok(vec![init]);
    }
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        // Others' processes cannot be looked at, and are none of the container's.
        if identity_of(Some(pid), Kind::Pid).is_ok_and(|i| i == namespace) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}
