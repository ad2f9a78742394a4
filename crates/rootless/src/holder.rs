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
use crate::{Error, Result};
use model::RunLayout;
use shim_proto::Connection;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use sys::clone::Fork;

/// How a holder begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Make the namespaces.
    Make,
    /// The caller joined a dead holder's namespaces already.
    Remake { single_id: bool },
}

/// The arguments of `lichen-shim holder`, without the first two.
pub fn parse(arguments: &[String]) -> Option<(Role, RunLayout)> {
    let role = match arguments.first()?.as_str() {
        "--make" => Role::Make,
        "--remake" => Role::Remake { single_id: false },
        "--remake-single" => Role::Remake { single_id: true },
        _ => return None,
    };
    match arguments {
        [_, flag, root] if flag == "--run-root" => Some((role, RunLayout::new(PathBuf::from(root)))),
        _ => None,
    }
}

/// Be the holder. The handshake with the launcher is on descriptor 3. Returns when told to end.
pub fn main(role: Role, run: &RunLayout) -> Result<()> {
    let launcher = UnixStream::from(sys::fds::take_inherited(3)?);
    daemonise(run)?;
    let mut launcher = Connection::new(launcher, "launcher");
    match begin(role, run, &mut launcher) {
        Ok((listener, router, state)) => {
            launcher.send(1, &FromNewHolder::Ready { state }, &[])?;
            drop(launcher);
            serve::serve(run, listener, router)
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
    use std::os::fd::AsFd;
    sys::fds::become_stdio([null.as_fd(), null.as_fd(), log.as_fd()])?;
    Ok(())
}
