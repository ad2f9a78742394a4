//! Where containers' cgroups are, and who makes them: the cgroup drivers.
//!
//! ```text
//! systemd    user@1000.service/user.slice/docker-ID.scope/   made by the user's systemd, asked over D-Bus
//!                                         ├─ shim            the shim, which no limit is for
//!                                         └─ container       made by the shim, with the limits
//! cgroupfs   DELEGATED/                                      delegated to whoever started the engine
//!            ├─ lichen-engine                                the engine and what it starts
//!            └─ [PARENT/]ID                                  made by the shim, with the limits
//! ```
//! A cgroup with controllers for its children has no processes of its own ("No Internal Process Constraint",
//! Documentation/admin-guide/cgroup-v2.rst): hence the leaves. In a delegated scope systemd changes nothing below its
//! top (systemd's CGROUP_DELEGATION), so that limits are not reset when it reloads.

mod bus;
mod error;
mod slice;
mod systemd;

pub use bus::Bus;
pub use error::Error;
pub use slice::is_slice;
pub use systemd::Systemd;

use crate::container::Record;
use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// Where cgroup v2 is mounted.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// Whether and how resource limits can be enforced.
#[derive(Debug, Clone)]
pub enum Cgroups {
    /// No usable cgroup: limits are discarded with Docker's warnings.
    None,
    /// A delegated directory of the unified hierarchy, relative to its mount, with these controllers enabled below it.
    Cgroupfs { parent: PathBuf, controllers: Vec<String> },
    /// Scopes of the user's systemd.
    Systemd(Arc<Systemd>),
}

impl Cgroups {
    /// As `docker info` names it.
    pub fn driver(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cgroupfs { .. } => "cgroupfs",
            Self::Systemd(_) => "systemd",
        }
    }

    pub fn has(&self, controller: &str) -> bool {
        self.controllers().iter().any(|c| c == controller)
    }

    fn controllers(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::Cgroupfs { controllers, .. } => controllers,
            Self::Systemd(systemd) => &systemd.controllers,
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether `--cgroup-parent` can be one: a slice, or a path that stays below what was delegated.
    pub fn check_parent(&self, parent: &str) -> Result<(), Error> {
        let fits = match self {
            Self::None => true,
            _ if parent.is_empty() => true,
            Self::Systemd(_) => return if is_slice(parent) { Ok(()) } else { Err(Error::NoSlice) },
            Self::Cgroupfs { .. } => {
                let inside = |c| matches!(c, Component::Normal(_) | Component::RootDir | Component::CurDir);
                Path::new(parent).components().all(inside)
            }
        };
        if fits { Ok(()) } else { Err(Error::ParentOutside { parent: parent.to_owned() }) }
    }

    /// The container's own cgroup, relative to the mount of the hierarchy.
    pub(crate) fn path(&self, record: &Record) -> Option<PathBuf> {
        let parent = &record.host_config.cgroup_parent;
        match self {
            Self::None => None,
            Self::Cgroupfs { parent: delegated, .. } => {
                Some(delegated.join(parent.trim_start_matches('/')).join(record.id.as_str()))
            }
            Self::Systemd(systemd) => Some(systemd.container(&record.id, parent)),
        }
    }

    /// Makes what the container's cgroup is to be made in, and puts its shim there. Needed before every start.
    pub(crate) async fn prepare(&self, record: &Record, shim: u32) -> Result<(), crate::Error> {
        match self {
            Self::None | Self::Cgroupfs { .. } => Ok(()),
            Self::Systemd(systemd) => systemd.scope(record, shim).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_stays_below_what_was_delegated() {
        let cgroups = Cgroups::Cgroupfs { parent: "user.slice/x".into(), controllers: Vec::new() };
        for parent in ["", "/", "a", "/a/b", "a/./b"] {
            assert!(cgroups.check_parent(parent).is_ok(), "{parent}");
        }
        for parent in ["..", "/../a", "a/../../b"] {
            let text = cgroups.check_parent(parent).unwrap_err().to_string();
            assert_eq!(text, format!("invalid cgroup-parent {parent:?}: it leads out of what was delegated"));
        }
    }
}
