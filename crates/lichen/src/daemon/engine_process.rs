//! Starting the engine: this same program, as root of the holder's namespaces.

use super::error::{Error, Result};
use super::lock::Lock;
use rootless::HolderState;
use shim_proto::Connection;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use sys::clone::{Child, Fork};

/// The variable that says how many of the sockets, the last ones, are for published ports.
pub(crate) const PORT_SOCKETS: &str = "LICHEN_PORT_SOCKETS";

/// Where the engine finds what it inherits. Listening sockets come first, where sd_listen_fds(3) has them.
pub(crate) const SHIM_PROGRAM: RawFd = 60;
pub(crate) const LAUNCHER: RawFd = 61;
/// Held for as long as the engine runs, and by nothing that it starts.
pub(crate) const LOCKS: [RawFd; 3] = [62, 63, 65];
/// Where the engine asks for what only the launcher can do ([`super::service`]).
pub(crate) const SERVICE: RawFd = 64;
pub(crate) const FIRST_LISTENER: RawFd = 3;

/// What an engine is started with.
pub(crate) struct Start<'a> {
    pub(crate) holder: &'a HolderState,
    /// The sealed `lichen-shim`.
    pub(crate) shim: BorrowedFd<'a>,
    pub(crate) locks: &'a [Lock; 3],
    /// At least one; see [`super::listeners`].
    pub(crate) listeners: &'a [OwnedFd],
    /// The arguments of `daemon`.
    pub(crate) arguments: &'a [String],
    /// Variables to set beside the inherited ones.
    pub(crate) environment: &'a [(&'static str, OsString)],
}

/// A running engine.
pub(crate) struct Engine {
    pub(crate) child: Child,
    /// The engine writes one byte when it serves, and exits at once when this closes.
    pub(crate) socket: UnixStream,
    /// What the engine asks for comes in here; none once it has sent what is no request.
    pub(crate) service: Option<Connection>,
}

/// Fork, join the holder's namespaces, execute.
pub(crate) fn start(start: &Start<'_>) -> Result<Engine> {
    let pair = || UnixStream::pair().map_err(Error::io("make a socket pair for", "the engine"));
    let ((ours, theirs), (service, asks)) = (pair()?, pair()?);
    let exe = File::open("/proc/self/exe").map_err(Error::io("open", "/proc/self/exe"))?;
    let argv = start.arguments.iter().map(String::as_bytes);
    let argv = strings([b"lichen".as_slice(), b"engine"].into_iter().chain(argv))?;
    let locks = start.locks.iter().map(Lock::descriptor).collect::<Result<Vec<_>>>()?;
    match sys::clone::fork()? {
        Fork::Parent(child) => {
            drop((theirs, asks));
            let set_up = Error::io("set up the socket of", "the engine");
            ours.set_nonblocking(true).and_then(|()| super::service::limit(&service)).map_err(set_up)?;
            Ok(Engine { child, socket: ours, service: Some(Connection::new(service, "engine")) })
        }
        Fork::Child { .. } => {
            let error = exec(start, &exe, &argv, [&theirs, &asks], &locks);
            eprintln!("lichen: cannot start the engine: {error}");
            sys::process::exit(1)
        }
    }
}

fn exec(
    start: &Start<'_>,
    exe: &File,
    argv: &[CString],
    sockets: [&UnixStream; 2],
    locks: &[OwnedFd],
) -> Error {
    let prepare = || -> Result<(OwnedFd, Vec<CString>)> {
        // A terminal's signals are the launcher's to pass on.
        rustix::process::setsid().map_err(sys::Error::of("setsid", ""))?;
        rootless::enter::enter(start.holder)?;
        sys::signals::reset();
        let environment = environment(start)?;
        let program = rustix::io::fcntl_dupfd_cloexec(exe, LOCKS[2] + 1)
            .map_err(sys::Error::of("fcntl", "F_DUPFD_CLOEXEC"))?;
        let mut fds: Vec<(BorrowedFd<'_>, RawFd)> =
            start.listeners.iter().map(AsFd::as_fd).zip(FIRST_LISTENER..).collect();
        fds.push((start.shim, SHIM_PROGRAM));
        fds.extend(sockets.iter().map(AsFd::as_fd).zip([LAUNCHER, SERVICE]));
        fds.extend(locks.iter().map(AsFd::as_fd).zip(LOCKS));
        sys::spawn::arrange(&fds)?;
        Ok((program, environment))
    };
    match prepare() {
        Ok((program, environment)) => sys::process::exec_fd(program.as_fd(), argv, &environment).into(),
        Err(error) => error,
    }
}

/// The launcher's own, with the changes.
fn environment(start: &Start<'_>) -> Result<Vec<CString>> {
    let changed = |name: &OsString| {
        start.environment.iter().any(|(n, _)| name == n) || name.as_bytes().starts_with(b"LISTEN_")
    };
    let kept = std::env::vars_os().filter(|(name, _)| !changed(name));
    let set = start.environment.iter().map(|(n, v)| (OsString::from(n), v.clone()));
    let mut all: Vec<Vec<u8>> =
        kept.chain(set).map(|(n, v)| [n.as_bytes(), b"=", v.as_bytes()].concat()).collect();
    all.push(format!("LISTEN_FDS={}", start.listeners.len()).into_bytes());
    all.push(format!("LISTEN_PID={}", std::process::id()).into_bytes());
    strings(all.iter().map(Vec::as_slice))
}

fn strings<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<CString>> {
    texts.map(CString::new).collect::<Result<_, _>>().map_err(|e| Error::io("pass on", "a text")(e.into()))
}
