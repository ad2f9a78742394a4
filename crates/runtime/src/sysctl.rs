//! Kernel parameters of the container's own namespaces.

use crate::{
    Error, Failure, Result,
    namespaces::Namespaces,
    report::{At, failed},
};
use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::os::fd::{AsFd, OwnedFd};
use sys::namespaces::Kind;

/// A parameter's path below /proc/sys, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sysctl {
    path: String,
    value: String,
}

/// Refuses parameters that are not namespaced, or whose namespace is not the container's: they would be the host's
/// (runc, `libcontainer/configs/validate`, `sysctl`).
pub(crate) fn plan(spec: &Spec, namespaces: &Namespaces) -> Result<Vec<Sysctl>> {
    let wanted = spec.linux().as_ref().and_then(|l| l.sysctl().as_ref());
    let mut sysctls: Vec<Sysctl> = Vec::new();
    for (name, value) in wanted.into_iter().flatten() {
        let path = path_of(name);
        // "net.//.kernel.x" would spell net/../kernel/x.
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(refused(name, "is no name of a parameter"));
        }
        let kind = kind_of(&path).ok_or_else(|| refused(name, "is not in a separate kernel namespace"))?;
        if !namespaces.has(kind) {
            return Err(refused(
                name,
                &format!("is the host's: the container has no own {} namespace", kind.file()),
            ));
        }
        if path == "kernel/hostname" {
            return Err(refused(name, "use the hostname field"));
        }
        sysctls.push(Sysctl { path, value: value.clone() });
    }
    sysctls.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sysctls)
}

fn refused(name: &str, reason: &str) -> Error {
    Error::Spec { field: "linux.sysctl", reason: format!("sysctl {name:?} {reason}") }
}

/// `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding` name the same (sysctl.d(5)): the separator
/// that comes first separates, and the other stands for it in names.
fn path_of(name: &str) -> String {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    if name.find('/').is_some_and(|slash| name.find('.').is_none_or(|dot| slash < dot)) {
        return name.to_owned();
    }
    name.chars().map(swap).collect()
}

fn kind_of(path: &str) -> Option<Kind> {
    const IPC: &[&str] = &[
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
        "kernel/shm_rmid_forced",
    ];
    if path.starts_with("net/") {
        Some(Kind::Net)
    } else if path.starts_with("fs/mqueue/") || IPC.contains(&path) {
        Some(Kind::Ipc)
    } else if matches!(path, "kernel/domainname" | "kernel/hostname") {
        Some(Kind::Uts)
    } else if path.starts_with("user/") {
        Some(Kind::User)
    } else {
        None
    }
}

/// Writes each value through `proc`, a procfs mount that we made ourselves: not through a path below the container's
/// root, which might lead to another file (CVE-2019-16884 and its followers up to CVE-2025-52881).
pub(crate) fn write(sysctls: &[Sysctl], proc: Option<&OwnedFd>) -> Result<(), Failure> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let own;
    let proc = match proc {
        Some(mount) => mount.as_fd(),
        None => {
            own = sys::mount::new_filesystem("proc", None, &[], sys::mount::Attributes::NONE)
                .map_err(failed("mount proc for sysctls"))?;
            own.as_fd()
        }
    };
    for sysctl in sysctls {
        let (step, name) = ("set sysctl", &sysctl.path);
        let path = format!("sys/{}", sysctl.path);
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(proc, path, flags, Mode::empty(), resolve).at(step, name)?;
        rustix::io::write(&file, sysctl.value.as_bytes()).at(step, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(namespaces: &str, sysctl: &str) -> Result<Vec<Sysctl>> {
        let json = format!(
            r#"{{"ociVersion":"1.2.0","linux":{{"namespaces":[{namespaces}],"sysctl":{{{sysctl}}}}}}}"#
        );
        let spec: Spec = serde_json::from_str(&json).unwrap();
        plan(&spec, &Namespaces::plan(&spec, None).unwrap())
    }

    #[test]
    fn both_spellings_name_the_same_file() {
        assert_eq!(path_of("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path_of("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path_of("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    }

    #[test]
    fn the_hosts_parameters_are_refused() {
        let net = r#""net.ipv4.ip_forward":"1""#;
        assert!(planned(r#"{"type":"network"}"#, net).is_ok());
        assert!(planned("", net).unwrap_err().to_string().contains("no own net namespace"));
        assert!(planned("", r#""kernel.panic":"1""#).unwrap_err().to_string().contains("not in a separate"));
        for name in ["net.//.kernel.x", "net/../kernel/x", "net..ipv4", "net/"] {
            let error = planned(r#"{"type":"network"}"#, &format!("\"{name}\":\"1\"")).unwrap_err();
            assert!(error.to_string().contains("no name"), "{name}: {error}");
        }
        assert!(planned(r#"{"type":"ipc"}"#, r#""kernel.shmmax":"1""#).is_ok());
    }
}
