//! The program at the other end of a relay: started, connected to, and gone when this process is.
//!
//! It dies with this process whatever that dies of (`PR_SET_PDEATHSIG`), but then a moment later, and nobody knows when.
//! So when this process is told to end (SIGTERM) it ends the program first: whoever waits for the one has waited for both.

use crate::{Error, args::Peer};
use nix::sys::signal::{SigSet, Signal as Number};
use rustix::process::Signal;
use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
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
    let mut told_to_end = SigSet::empty();
    told_to_end.add(Number::SIGTERM);
    told_to_end.thread_block().map_err(|e| Error::io("block", "SIGTERM")(e.into()))?;
    match sys::clone::fork()? {
        Fork::Parent(child) => {
            let pidfd = child.pidfd.try_clone().map_err(Error::io("duplicate", "a pidfd"))?;
            thread::Builder::new()
                .name("end".into())
                .spawn(move || end_together(told_to_end, &pidfd))
                .map_err(Error::io("start", "a thread"))?;
            Ok(child)
        }
        Fork::Child { .. } => {
            sys::signals::reset();
            let error = execute(peer, parent);
            eprintln!("uplink: cannot run {}: {error}", peer.program.display());
            sys::process::exit(127)
        }
    }
}

/// Waits until this process is told to end, and ends it when the program has ended.
fn end_together(signals: SigSet, program: &OwnedFd) {
    loop {
        match signals.wait() {
            Ok(_) => break,
            // Only an interruption is no signal of the set (sigwait(3)).
            Err(_) => continue,
        }
    }
    let ended = pidfd::signal(program, Signal::KILL.as_raw()).and_then(|()| pidfd::poll_exit(program, None));
    // One that is gone already needs no end; whatever else goes wrong, the kernel kills it with this process.
    std::process::exit(i32::from(ended.is_err()));
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
