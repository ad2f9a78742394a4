//! One listener of seccomp_unotify(2): where the calls of one filter, of a container's first process or of an exec, come
//! from, and where their answers go.

use crate::{Notes, caller};
use rustix::io::Errno;
use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};
use sys::notify::{self, Answer};

pub(crate) struct Listener {
    pub fd: OwnedFd,
    pub notes: Notes,
    /// No process is left, and none will be.
    pub ended: bool,
}

/// What is known of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub id: u64,
    pub thread: u32,
    pub number: RawFd,
    /// Of the socket that is to be replaced.
    pub inode: u64,
    pub address: SocketAddr,
}

impl Listener {
    pub(crate) fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// A thread that no longer waits, killed or interrupted, needs no answer.
    pub(crate) fn answer(&self, id: u64, answer: Answer) {
        match notify::answer(&self.fd, id, answer) {
            Err(e) if e.errno != Errno::NOENT => eprintln!("lichen-shim bypass: {e}"),
            _ => {}
        }
    }

    /// Puts `new` in the place of the caller's socket. Returns what the caller is to be told, if it still waits.
    pub(crate) fn replace(&self, call: &Call, new: &OwnedFd, waits: bool, answer: Answer) -> Option<Answer> {
        // Inherited by more programs than before would be worse than by fewer.
        let cloexec = caller::closes_on_exec(call.thread, call.number).unwrap_or(true);
        let blocking = if waits { rustix::io::ioctl_fionbio(new, false) } else { Ok(()) };
        let installed = blocking.map_err(sys::Error::of("ioctl", "FIONBIO"));
        match installed.and_then(|()| notify::install(&self.fd, call.id, new, call.number, cloexec)) {
            Ok(()) => Some(answer),
            Err(e) if e.errno == Errno::NOENT => None,
            Err(e) => Some(Answer::Error(e.errno)),
        }
    }

    /// Has the calls that an earlier supervisor took and may not have answered, `many` at most, go their ordinary way.
    pub(crate) fn let_go(&self, many: u64) {
        let last = match self.notes.read() {
            Ok(Some(last)) => last,
            Ok(None) => return,
            Err(error) => return eprintln!("lichen-shim bypass: read which call was taken last: {error}"),
        };
        // One more may have been taken and not been noted down.
        for back in 0..=many + 1 {
            let id = last.wrapping_add(1).wrapping_sub(back);
            // Most were answered long ago.
            drop(notify::answer(&self.fd, id, Answer::Continue));
        }
    }
}
