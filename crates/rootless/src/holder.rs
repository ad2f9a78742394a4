//! The holder: the process that keeps the namespaces, starts shims, keeps their descriptors, and reaps their orphans.
//!
//! # Theory of operation
//! One thread, one poll(2) over the listening socket, a signalfd for SIGCHLD, and the clients. Requests are small and
//! answered at once; a client that does not take its answer within a second is dropped. Signals that end a session
//! (SIGHUP, SIGINT, SIGTERM) are ignored: only [`ToHolder::Shutdown`](shim_proto::ToHolder) or SIGKILL ends it.

mod exits;
mod make;
mod serve;
mod spawn;

use crate::bootstrap::FromNewHolder;
use crate::state::{HolderState, Inodes};
use crate::{Error, Result, enter};
use model::RunLayout;
use shim_proto::Connection;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use sys::clone::Fork;

/// How a holder begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Make the namespaces.
    Make,
    /// In the namespaces of a dead one.
    Remake { single_id: bool },
}

/// The command line of `lichen-shim holder`.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    role: Role,
    run: RunLayout,
    /// The descriptor of the handshake with the launcher.
    handshake: i32,
    /// The pidfd of a process whose namespaces to join.
    join: Option<i32>,
}

/// None when the arguments are not understood.
pub fn parse(arguments: &[String]) -> Option<Arguments> {
    let (mut role, mut run, mut handshake, mut join) = (None, None, None, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--make" => role = Some(Role::Make),
            "--remake" => role = Some(Role::Remake { single_id: false }),
            "--remake-single" => role = Some(Role::Remake { single_id: true }),
            "--run-root" => run = Some(RunLayout::new(PathBuf::from(rest.next()?))),
            "--handshake" => handshake = Some(rest.next()?.parse().ok()?),
            "--join" => join = Some(rest.next()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(Arguments { role: role?, run: run?, handshake: handshake?, join })
}

/// What a fork of the holder becomes: a shim with these arguments. Returns its exit status.
pub type Shim = fn(&[String]) -> i32;

/// Be the holder. Returns when told to end.
pub fn main(arguments: &Arguments, shim: Shim) -> Result<()> {
    let Arguments { role, run, .. } = arguments;
    let launcher = UnixStream::from(sys::fds::take_inherited(arguments.handshake)?);
    if let Some(survivor) = arguments.join {
        enter::enter_of(sys::fds::take_inherited(survivor)?)?;
        enter::become_root()?;
    }
    daemonise(run)?;
    let mut launcher = Connection::new(launcher, "launcher");
    match begin(*role, run, &mut launcher) {
        Ok((listener, router, state)) => {
            launcher.send(1, &FromNewHolder::Ready { state }, &[])?;
            drop(launcher);
            serve::serve(run, listener, router, shim)
        }
        Err(Begin::Said) => Ok(()),
        Err(Begin::Failed(step, error)) => {
            let failed = FromNewHolder::Failed { step: step.to_owned(), message: error.to_string() };
            launcher.send(1, &failed, &[])?;
            Ok(())
        }
    }
}

/// Why a holder did not come to be.
enum Begin {
    /// The launcher knows.
    Said,
    Failed(&'static str, Error),
}

fn at(step: &'static str) -> impl FnOnce(Error) -> Begin {
    move |error| Begin::Failed(step, error)
}

fn begin(
    role: Role,
    run: &RunLayout,
    launcher: &mut Connection,
) -> std::result::Result<(UnixListener, OwnedFd, HolderState), Begin> {
    let single_id = match role {
        Role::Make => make::namespaces(run, launcher)?,
        Role::Remake { single_id } => single_id,
    };
    sys::process::become_subreaper().map_err(Error::from).map_err(at("become subreaper"))?;
    let router = open_router(run).map_err(at("open the router network namespace"))?;
    let listener = listen(run).map_err(at("listen"))?;
    let state = state(single_id).map_err(at("find own identity"))?;
    state.write(run).map_err(at("write state"))?;
    Ok((listener, router, state))
}

fn state(single_id: bool) -> Result<HolderState> {
    let process = sys::process::reference(rustix::process::getpid())?;
    Ok(HolderState { process, namespaces: Inodes::of(None)?, single_id })
}

fn open_router(run: &RunLayout) -> Result<OwnedFd> {
    let path = run.router_netns();
    let file = std::fs::File::open(&path).map_err(Error::io("open", &path))?;
    Ok(file.into())
}

fn listen(run: &RunLayout) -> Result<UnixListener> {
    let path = run.holder_socket();
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &path)(e)),
        _ => {}
    }
    let exits = run.holder_exits();
    std::fs::create_dir_all(&exits).map_err(Error::io("make", &exits))?;
    // The umask of `daemonise` makes it 0600.
    let listener = UnixListener::bind(&path).map_err(Error::io("bind", &path))?;
    listener.set_nonblocking(true).map_err(Error::io("listen on", &path))?;
    Ok(listener)
}

/// Leave the launcher's session, so that its terminal's signals do not reach the holder, and become an orphan.
fn daemonise(run: &RunLayout) -> Result<()> {
    if let Fork::Parent(_) = sys::clone::fork()? {
        sys::process::exit(0);
    }
    let system = |call: &'static str| sys::Error::of(call, "");
    rustix::process::setsid().map_err(system("setsid"))?;
    rustix::process::chdir("/").map_err(system("chdir"))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(Error::io("open", "/dev/null"))?;
    let log = std::fs::OpenOptions::new().append(true).create(true).open(run.holder_log());
    let log = log.map_err(Error::io("open", run.holder_log()))?;
    sys::fds::become_stdio([null.as_fd(), null.as_fd(), log.as_fd()])?;
    Ok(())
}
