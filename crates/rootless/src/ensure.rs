//! The launcher's side: find the holder, re-make it, or make it.

use crate::bootstrap::{FromNewHolder, ToNewHolder};
use crate::{Error, HolderState, Mapping, Result, User, map, newidmap, survivors};
use model::{ProcessRef, RunLayout};
use rustix::io::{Errno, FdFlags};
use shim_proto::Connection;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// What [`ensure`] needs.
#[derive(Debug)]
pub struct Ensure<'a> {
    pub run: &'a RunLayout,
    /// The sealed `lichen-shim`.
    pub program: BorrowedFd<'a>,
}

/// A holder that serves.
#[derive(Debug)]
pub struct Holder {
    pub state: HolderState,
    pub found: Found,
    /// For the user to read.
    pub warnings: Vec<String>,
}

/// Where a [`Holder`] came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Running,
    /// The earlier one was dead; this one is in the same namespaces.
    Remade {
        from: ProcessRef,
    },
    New,
}

/// A holder for this run directory, which exists.
pub fn ensure(request: &Ensure<'_>) -> Result<Holder> {
    let earlier = HolderState::read(request.run)?;
    if let Some(state) = earlier.filter(HolderState::is_current) {
        return Ok(Holder { state, found: Found::Running, warnings: Vec::new() });
    }
    if let Some(dead) = earlier
        && let Some(survivor) = survivors::find(&dead)
    {
        let state = remake(request, &dead, survivor)?;
        return Ok(Holder { state, found: Found::Remade { from: survivor }, warnings: Vec::new() });
    }
    make(request)
}

fn make(request: &Ensure<'_>) -> Result<Holder> {
    let (mapping, warnings) = map::plan(&User::current())?;
    let mut connection = spawn(request, &["holder", "--make"], None)?;
    let pid = match awaited(&mut connection, request)? {
        FromNewHolder::Unshared { pid } => pid,
        FromNewHolder::CannotUnshare { errno } => return Err(cannot_unshare(errno)),
        other => return Err(other.unexpected("Unshared")),
    };
    newidmap::apply(&mapping, pid)?;
    let single_id = matches!(mapping, Mapping::Single { .. });
    connection.send(1, &ToNewHolder::Mapped { single_id }, &[])?;
    Ok(Holder { state: ready(&mut connection, request)?, found: Found::New, warnings })
}

fn remake(request: &Ensure<'_>, dead: &HolderState, survivor: ProcessRef) -> Result<HolderState> {
    let join = |source| Error::Join { process: survivor, source };
    let pidfd = sys::pidfd::open(survivor).map_err(join)?;
    let role = if dead.single_id { "--remake-single" } else { "--remake" };
    let mut connection = spawn(request, &["holder", role], Some(pidfd.as_fd()))?;
    ready(&mut connection, request)
}

fn ready(connection: &mut Connection, request: &Ensure<'_>) -> Result<HolderState> {
    match awaited(connection, request)? {
        FromNewHolder::Ready { state } => Ok(state),
        other => Err(other.unexpected("Ready")),
    }
}

fn awaited(connection: &mut Connection, request: &Ensure<'_>) -> Result<FromNewHolder> {
    match connection.receive::<FromNewHolder>()? {
        Some(received) => match received.msg {
            FromNewHolder::Failed { step, message } => Err(Error::SetUp { step, message }),
            message => Ok(message),
        },
        None => Err(Error::HolderDied { log: request.run.holder_log() }),
    }
}

impl FromNewHolder {
    fn unexpected(&self, expected: &'static str) -> Error {
        Error::Unexpected { got: self.name(), expected }
    }
}

fn cannot_unshare(errno: i32) -> Error {
    let errno = Errno::from_raw_os_error(errno);
    let error = sys::Error::of("unshare", "CLONE_NEWUSER")(errno);
    match errno {
        Errno::NOSPC => Error::TooManyUserNamespaces(error),
        // EUSERS: too deeply nested; EINVAL: the kernel has none. Both read like a refusal.
        Errno::PERM | Errno::ACCESS => Error::UserNamespaceForbidden(error),
        _ => Error::System(error),
    }
}

/// Start the program. It joins the namespaces of `survivor`, if given, and daemonises itself; what is waited for here
/// is its first process only.
fn spawn(request: &Ensure<'_>, role: &[&str], survivor: Option<BorrowedFd<'_>>) -> Result<Connection> {
    let (ours, theirs) =
        UnixStream::pair().map_err(Error::io("make a socket pair for", request.run.root()))?;
    let mut command = Command::new(format!("/proc/self/fd/{}", request.program.as_raw_fd()));
    command.arg0("lichen-shim").args(role).arg("--run-root").arg(request.run.root());
    let mut inherited = vec![theirs.as_fd()];
    command.arg("--handshake").arg(theirs.as_raw_fd().to_string());
    if let Some(pidfd) = survivor {
        command.arg("--join").arg(pidfd.as_raw_fd().to_string());
        inherited.push(pidfd);
    }
    // What it starts gets its environment from whoever asks.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
    let keep = |flags| inherited.iter().try_for_each(|fd| rustix::io::fcntl_setfd(fd, flags));
    keep(FdFlags::empty()).map_err(sys::Error::of("fcntl", "F_SETFD"))?;
    let status = command.status();
    keep(FdFlags::CLOEXEC).map_err(sys::Error::of("fcntl", "F_SETFD"))?;
    status.map_err(Error::io("run", "lichen-shim"))?;
    Ok(Connection::new(ours, "holder"))
}
