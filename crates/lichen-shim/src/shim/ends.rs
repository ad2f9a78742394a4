//! Making a process's streams.

use super::streams::Ends;
use shim_proto::Io;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Room in the output pipe, so that a busy process and its shim take turns less often. The kernel counts all of a
/// user's pipes (pipe(7), `pipe-user-pages-soft`: 64 MiB), and past it new pipes shrink to a page; so not more.
const OUTPUT_ROOM: usize = 256 << 10;

/// Both sides of a process's pipes. The process's side is closed once it runs.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) ours: Ends,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Pipes {
    pub(super) fn new(io: &Io) -> io::Result<Self> {
        let (stdin, feed) = if io.open_stdin {
            let (reader, writer) = io::pipe()?;
            (reader.into(), Some(writer.into()))
        } else {
            (null()?, None)
        };
        let (stdout, out) = io::pipe().map(|(r, w)| (OwnedFd::from(w), OwnedFd::from(r)))?;
        let (stderr, err) = io::pipe().map(|(r, w)| (OwnedFd::from(w), OwnedFd::from(r)))?;
        // Refused when the user's share is used up (EPERM): the usual size does too.
        if let Err(error) = rustix::pipe::fcntl_setpipe_size(&out, OUTPUT_ROOM)
            && error != rustix::io::Errno::PERM
        {
            return Err(error.into());
        }
        Ok(Self { ours: Ends { stdin: feed, stdout: Some(out), stderr: Some(err) }, stdin, stdout, stderr })
    }

    /// Nothing in, nothing kept of what comes out.
    pub(super) fn discarding() -> io::Result<Self> {
        Ok(Self { ours: Ends::default(), stdin: null()?, stdout: null()?, stderr: null()? })
    }

    pub(super) fn theirs(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.stdin.as_fd(), self.stdout.as_fd(), self.stderr.as_fd())
    }
}

fn null() -> io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

impl Ends {
    /// Of a terminal's master.
    pub(super) fn of_terminal(master: OwnedFd) -> io::Result<Self> {
        Ok(Self { stdin: Some(master.try_clone()?), stdout: Some(master), stderr: None })
    }
}
