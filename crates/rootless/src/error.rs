//! What can fail on the way into the namespaces. Texts that RootlessKit's users know are kept, each followed by the fix.

use crate::apparmor::AppArmor;
use crate::selinux;
use crate::subid::Kind;
use crate::user::User;
use model::{ErrorKind, ProcessRef};
use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "failed to start the child: fork/exec /proc/self/exe: operation not permitted ({0}): {fix}",
        fix = permission_fix()
    )]
    UserNamespaceForbidden(#[source] sys::Error),
    #[error(
        "failed to start the child: fork/exec /proc/self/exe: no space left on device ({0}): \
         add user.max_user_namespaces=28633 to /etc/sysctl.conf (or /etc/sysctl.d) and run sudo sysctl --system"
    )]
    TooManyUserNamespaces(#[source] sys::Error),
    #[error(
        "failed to setup UID/GID map: failed to compute uid/gid map: No {kind} ranges found for user {uid} (\"{name}\")"
    )]
    NoSubordinateIds { kind: Kind, uid: u32, name: String },
    #[error("failed to setup UID/GID map: {path}, line {line}: {text:?}: expected NAME:START:COUNT", path = path.display())]
    MalformedRange { path: PathBuf, line: usize, text: String },
    #[error(
        "failed to setup UID/GID map: {program} {pid} failed: exec: \"{program}\": executable file not found in $PATH: \
         install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora, RHEL, Arch)"
    )]
    NoMapProgram { program: &'static str, pid: u32 },
    #[error("failed to setup UID/GID map: {program} {arguments} failed: {output}{fix}")]
    MapProgramFailed { program: &'static str, arguments: String, output: String, fix: String },
    #[error("failed to setup UID/GID map: write {map:?} to {}: {source}", path.display())]
    WriteMap { path: PathBuf, map: String, source: io::Error },
    #[error("cannot {step} in the new namespaces: {message}")]
    SetUp { step: String, message: String },
    #[error("the namespace holder ended before it was ready; see {}", log.display())]
    HolderDied { log: PathBuf },
    #[error("the holder sent {got}: expected {expected}")]
    Unexpected { got: &'static str, expected: &'static str },
    #[error("cannot {operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged: {source}; remove it when no container runs", path.display())]
    DamagedState { path: PathBuf, source: serde_json::Error },
    #[error("cannot join the namespaces of process {}: {source}", process.pid)]
    Join { process: ProcessRef, source: sys::Error },
    #[error(transparent)]
    Protocol(#[from] shim_proto::ProtoError),
    #[error(transparent)]
    System(#[from] sys::Error),
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { operation, path, source }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UserNamespaceForbidden(_) => ErrorKind::Forbidden,
            Self::TooManyUserNamespaces(_)
            | Self::NoSubordinateIds { .. }
            | Self::NoMapProgram { .. }
            | Self::HolderDied { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::System,
        }
    }
}

/// Why user namespaces are forbidden although no setting of the kernel forbids them, and the fix.
pub const SANDBOXED: &str = "a sandbox around this process forbids it; in a container, run it with --privileged or \
     --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined";

/// Why the kernel forbids user namespaces, as far as it can be told from outside.
fn permission_fix() -> String {
    let setting = |path: &str| std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
    if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return "add kernel.unprivileged_userns_clone=1 to /etc/sysctl.conf (or /etc/sysctl.d) and run sudo sysctl --system"
            .to_owned();
    }
    let program = std::env::current_exe().map_or_else(|_| "lichen".to_owned(), |p| p.display().to_string());
    let install = format!(
        "install a profile for {program} that allows them (`lichen setup check` prints it) and run \
         sudo systemctl restart apparmor.service"
    );
    match AppArmor::read() {
        AppArmor::Restricts => format!("AppArmor restricts unprivileged user namespaces: {install}"),
        AppArmor::Confines(by) if by == program => {
            format!("AppArmor's profile {by} does not allow user namespaces: {install}")
        }
        AppArmor::Confines(by) => format!("{SANDBOXED} (AppArmor's profile {by} is in force)"),
        AppArmor::Indifferent => match selinux::enforced() {
            Some(label) => selinux::fix(&label, &User::current().name),
            None => SANDBOXED.to_owned(),
        },
    }
}
