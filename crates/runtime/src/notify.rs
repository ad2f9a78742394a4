//! Seccomp notification: handing the listener to an agent (OCI runtime-spec, config-linux.md, "The Container Process
//! State").

use crate::{CreateOptions, Error, Result, hooks};
use oci_spec::runtime::{ContainerProcessStateBuilder, ContainerState, LinuxSeccomp, Spec, State};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The agent of one container.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Listener {
    path: PathBuf,
    metadata: Option<String>,
    state: State,
}

impl Listener {
    /// The agent that `spec` names; none when its rules notify nobody.
    pub fn of_spec(
        spec: &Spec,
        id: &str,
        bundle: &Path,
        pid: u32,
        status: ContainerState,
    ) -> Result<Option<Self>> {
        let rules = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
        let Some((rules, path)) = rules.and_then(|r| Some((r, r.listener_path().clone()?))) else {
            return Ok(None);
        };
        let state = hooks::state(spec, id, bundle, status, pid)?;
        Ok(Some(Self { path, metadata: metadata(rules), state }))
    }

    pub(crate) fn of(options: &CreateOptions<'_>) -> Result<Option<Self>> {
        Self::of_spec(options.spec, options.id, options.bundle, 0, ContainerState::Creating)
    }
}

fn metadata(rules: &LinuxSeccomp) -> Option<String> {
    rules.listener_metadata().clone().filter(|m| !m.is_empty())
}

/// Sends the process's listener, `fd`, with the container's state to the agent.
pub(crate) fn hand_over(pidfd: &OwnedFd, fd: Option<OwnedFd>, agent: Option<&Listener>) -> Result<()> {
    let Some(listener) = agent else {
        return Err(Error::Spec {
            field: "linux.seccomp.listenerPath",
            reason: "is needed by SCMP_ACT_NOTIFY".into(),
        });
    };
    let lost = || Error::Step {
        step: "receive seccomp listener",
        source: std::io::Error::other("the new process sent none"),
    };
    let fd = fd.ok_or_else(lost)?;
    let pid = pid_behind(pidfd)?;
    let mut state = listener.state.clone();
    state.set_pid(Some(pid));
    let mut message = ContainerProcessStateBuilder::default()
        .version(state.version().clone())
        .fds(vec!["seccompFd".to_owned()])
        .pid(pid)
        .state(state);
    if let Some(metadata) = &listener.metadata {
        message = message.metadata(metadata.clone());
    }
    let message =
        message.build().map_err(|e| Error::Seccomp { step: "describe process", reason: e.to_string() })?;
    let bytes = serde_json::to_vec(&message)
        .map_err(|e| Error::Seccomp { step: "describe process", reason: e.to_string() })?;
    send(&listener.path, &bytes, &fd)
}

fn send(path: &Path, bytes: &[u8], fd: &OwnedFd) -> Result<()> {
    let failed = |e: rustix::io::Errno| Error::path("connect to seccomp agent", path)(e.into());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    rustix::net::connect(&socket, &address).map_err(failed)?;
    sys::fds::send_with_fds(&socket, bytes, &[fd.as_fd()]).map_err(|e| failed(e.errno))?;
    Ok(())
}

/// The `Pid:` line of a pidfd's fdinfo (pidfd_open(2)).
fn pid_behind(pidfd: &OwnedFd) -> Result<i32> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let info = std::fs::read_to_string(&path).map_err(Error::path("read", &path))?;
    let pid = info.lines().find_map(|l| l.strip_prefix("Pid:")?.trim().parse().ok());
    pid.ok_or_else(|| Error::State { path: path.into(), reason: "has no PID".into() })
}
