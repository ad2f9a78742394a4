//! Which namespaces a container gets new, and which it joins.

use crate::{Error, Result};
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType, Spec};
use std::{
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
};
use sys::namespaces::{Kind, Set};

/// The validated plan.
#[derive(Debug)]
pub(crate) struct Namespaces {
    pub(crate) new: Set,
    /// Joined by whoever clones, in this order.
    pub(crate) before: Vec<Join>,
    /// Joined by the new process, in this order.
    pub(crate) after: Vec<Join>,
    /// The maps of a new user namespace.
    pub(crate) maps: Option<IdMaps>,
}

#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) kind: Kind,
    pub(crate) fd: OwnedFd,
}

#[derive(Debug, Clone)]
pub(crate) struct IdMaps {
    pub(crate) users: Vec<LinuxIdMapping>,
    pub(crate) groups: Vec<LinuxIdMapping>,
}

impl IdMaps {
    /// Whether there is a user 0 inside.
    pub(crate) fn has_root(&self) -> bool {
        [&self.users, &self.groups].iter().all(|maps| maps.iter().any(|m| m.container_id() == 0))
    }
}

impl Namespaces {
    pub(crate) fn plan(spec: &Spec, netns: Option<BorrowedFd<'_>>) -> Result<Self> {
        let empty = Linux::default();
        let linux = spec.linux().as_ref().unwrap_or(&empty);
        let mut plan = Self { new: Set::EMPTY, before: Vec::new(), after: Vec::new(), maps: None };
        let mut joins = Vec::new();
        for namespace in linux.namespaces().iter().flatten() {
            let kind = kind(namespace.typ())?;
            if plan.new.contains(kind) || joins.iter().any(|j: &Join| j.kind == kind) {
                return Err(invalid(format!("{} is listed twice", kind.file())));
            }
            match (namespace.path(), netns) {
                (_, Some(_)) if kind == Kind::Net => {}
                (Some(path), _) if path != Path::new("") => joins.push(Join { kind, fd: open(path)? }),
                _ => plan.new = plan.new.with(kind),
            }
        }
        if let Some(netns) = netns {
            let fd = rustix::io::fcntl_dupfd_cloexec(netns, 3)
                .map_err(Error::step("duplicate the network namespace"))?;
            joins.push(Join { kind: Kind::Net, fd });
        }
        plan.sort(joins);
        plan.check(linux)?;
        Ok(plan)
    }

    pub(crate) fn joins(&self, kind: Kind) -> bool {
        self.before.iter().chain(&self.after).any(|j| j.kind == kind)
    }

    /// Whether the container has a namespace of this kind that is not its creator's.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.new.contains(kind) || self.joins(kind)
    }

    /// Who joins what, and when (setns(2)):
    /// * a PID namespace is entered only by children, so it has to be joined before;
    /// * a new user namespace takes away the right to join what its maker owns;
    /// * what is new belongs to the user namespace its maker is in, so an existing one has to be joined before;
    /// * an existing user namespace, joined first, gives the right to join what it owns.
    fn sort(&mut self, mut joins: Vec<Join>) {
        joins.sort_by_key(|j| j.kind != Kind::User);
        let new_user = self.new.contains(Kind::User);
        let old_user = joins.iter().any(|j| j.kind == Kind::User);
        let is_before = |kind| kind == Kind::Pid || new_user || old_user && kind == Kind::User;
        (self.before, self.after) = joins.into_iter().partition(|j| is_before(j.kind));
    }

    fn check(&mut self, linux: &Linux) -> Result<()> {
        if self.new.contains(Kind::User) {
            let users = linux.uid_mappings().clone().unwrap_or_default();
            let groups = linux.gid_mappings().clone().unwrap_or_default();
            if users.is_empty() || groups.is_empty() {
                return Err(invalid("a new user namespace needs uidMappings and gidMappings".into()));
            }
            if self.joins(Kind::Mount) {
                return Err(invalid("a new user namespace cannot join an existing mount namespace".into()));
            }
            self.maps = Some(IdMaps { users, groups });
        }
        Ok(())
    }
}

fn invalid(reason: String) -> Error {
    Error::Spec { field: "linux.namespaces", reason }
}

fn kind(typ: LinuxNamespaceType) -> Result<Kind> {
    Ok(match typ {
        LinuxNamespaceType::User => Kind::User,
        LinuxNamespaceType::Mount => Kind::Mount,
        LinuxNamespaceType::Pid => Kind::Pid,
        LinuxNamespaceType::Ipc => Kind::Ipc,
        LinuxNamespaceType::Uts => Kind::Uts,
        LinuxNamespaceType::Network => Kind::Net,
        LinuxNamespaceType::Cgroup => Kind::Cgroup,
        LinuxNamespaceType::Time => {
            let reason = "Lichen does not make time namespaces".into();
            return Err(Error::Unsupported { what: "namespace of type time", reason });
        }
    })
}

fn open(path: &Path) -> Result<OwnedFd> {
    let text = path.to_str().ok_or_else(|| invalid(format!("{} is not UTF-8", path.display())))?;
    sys::namespaces::open(text).map_err(|e| Error::Path {
        step: "open namespace",
        path: path.to_owned(),
        source: e.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(namespaces: &str) -> Result<Namespaces> {
        let spec = format!(r#"{{"ociVersion":"1.2.0","linux":{{"namespaces":{namespaces}}}}}"#);
        Namespaces::plan(&serde_json::from_str(&spec).unwrap(), None)
    }

    #[test]
    fn new_ones_and_joined_ones_are_told_apart() {
        let plan = plan(r#"[{"type":"pid"},{"type":"mount"},{"type":"network","path":"/proc/self/ns/net"}]"#)
            .unwrap();
        assert_eq!(plan.new, Set::of(&[Kind::Pid, Kind::Mount]));
        assert!(plan.joins(Kind::Net) && plan.has(Kind::Pid) && !plan.has(Kind::Uts));
    }

    #[test]
    fn impossible_combinations_are_refused() {
        let refused = |json| plan(json).unwrap_err().to_string();
        assert!(refused(r#"[{"type":"pid"},{"type":"pid"}]"#).contains("pid is listed twice"));
        assert!(refused(r#"[{"type":"user"}]"#).contains("uidMappings"));
        assert!(refused(r#"[{"type":"time"}]"#).contains("time"));
        assert!(refused(r#"[{"type":"ipc","path":"/nonexistent"}]"#).contains("/nonexistent"));
    }
}
