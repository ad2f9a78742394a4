//! The program at the other end of a relay: started, connected to, and gone when this process is.

use crate::{Error, args::Peer};
use rustix::process::Signal;
use std::{
    fs, io,
    os::unix::{net::UnixStream, process::CommandExt},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use sys::{
    clone::{Child, Fork},
    pidfd,
};

/// How long the program may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// How long one step of a handshake may take.
const STEP: Duration = Duration::from_secs(5);

/// Starts the program in the host's network namespace, which is this process's until it joins another.
pub(crate) fn start(peer: &Peer) -> Result<Child, Error> {
    match fs::remove_file(&peer.socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", peer.socket.display().to_string())(e));
        }
        _ => {}
    }
    let parent = rustix::process::getpid();
    match sys::clone::fork()? {
        Fork::Parent(child) => Ok(child),
        Fork::Child { .. } => {
            let error = execute(peer, parent);
            eprintln!("uplink: cannot run {}: {error}", peer.program.display());
            sys::process::exit(127)
        }
    }
}

fn execute(peer: &Peer, parent: rustix::process::Pid) -> io::Error {
    if let Err(error) = sys::process::die_with_parent(Signal::KILL) {
        return error.into();
    }
    if rustix::process::getppid() != Some(parent) {
        return io::Error::other("its parent is gone");
    }
    let output = io::stderr();
    let log = || std::os::fd::AsFd::as_fd(&output).try_clone_to_owned().map(Stdio::from);
    let (out, err) = match (log(), log()) {
        (Ok(out), Ok(err)) => (out, err),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    Command::new(&peer.program).args(&peer.arguments).stdin(Stdio::null()).stdout(out).stderr(err).exec()
}

/// Connects as soon as it listens.
pub(crate) fn connect(peer: &Peer, child: &Child) -> Result<UnixStream, Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(&peer.socket) {
            Ok(stream) => {
                let limited =
                    stream.set_read_timeout(Some(STEP)).and_then(|()| stream.set_write_timeout(Some(STEP)));
                return limited
                    .map(|()| stream)
                    .map_err(Error::io("set up", peer.socket.display().to_string()));
            }
            Err(source) if Instant::now() >= end => {
                let socket = peer.socket.clone();
                return Err(Error::NoSocket { socket, patience: PATIENCE, source });
            }
            Err(_) => ended(peer, child)?,
        }
        thread::sleep(PAUSE);
    }
}

/// An error if the program has ended.
pub(crate) fn ended(peer: &Peer, child: &Child) -> Result<(), Error> {
    match pidfd::try_wait(&child.pidfd)? {
        None => Ok(()),
        Some(exit) => Err(Error::ProgramEnded { program: peer.program.clone(), how: format!("{exit:?}") }),
    }
}
