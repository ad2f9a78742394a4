//! What parent and child tell each other between clone and execve.
//!
//! One message a packet (SOCK_SEQPACKET), JSON from the child, a single byte from the parent. The child's end is
//! close-on-exec, so end of file without `Failed` means that the program runs.
//!
//! | child sends | parent answers |
//! |---|---|
//! | `Sibling` (from a go-between, see `spawn`) | opens the process, then sends it a byte |
//! | `Namespaces` | writes the ID maps, runs createRuntime hooks, then sends a byte |
//! | `Console` with the master attached | – |
//! | `Warning` | – |
//! | `Ready` | a byte, when `start` is called |
//! | `Notify` with a listener attached | sends it to the container's agent, then a byte |
//! | `Connections` with a listener attached | – |
//! | `Failed` | – (the child exits) |

use crate::{Class, Error, Failure, Result, Warning};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    Sibling { pid: u32, in_cgroup: bool },
    Namespaces,
    Console,
    Warning(Warning),
    Ready,
    Notify,
    Connections,
    Failed(Failure),
}

/// Larger than any message: a failure holds a path or two.
const LONGEST: usize = 64 * 1024;

pub(crate) fn pair() -> Result<(Watcher, Reporter)> {
    let (parent, child) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(Error::step("socketpair"))?;
    Ok((Watcher { socket: parent }, Reporter { socket: child }))
}

/// The parent's end.
#[derive(Debug)]
pub(crate) struct Watcher {
    socket: OwnedFd,
}

impl Watcher {
    /// The child's next message, or none when it has executed its program or is gone.
    pub(crate) fn next(&self) -> Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut buffer = vec![0u8; LONGEST];
        let (length, fds) = match sys::fds::recv_with_fds(&self.socket, &mut buffer) {
            Err(e) if e.errno == rustix::io::Errno::CONNRESET => return Ok(None),
            other => {
                other.map_err(|e| Error::Step { step: "read from the new process", source: e.into() })?
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let message = serde_json::from_slice(&buffer[..length])
            .map_err(|e| Error::Step { step: "understand the new process", source: e.into() })?;
        Ok(Some((message, fds)))
    }

    /// Lets the child go on. A child that is gone by now shows at the next [`Watcher::next`].
    pub(crate) fn go(&self) -> Result<()> {
        match rustix::net::send(&self.socket, &[1], SendFlags::NOSIGNAL) {
            Ok(_) | Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Error::step("write to the new process")(errno)),
        }
    }
}

/// The child's end.
#[derive(Debug)]
pub(crate) struct Reporter {
    socket: OwnedFd,
}

impl Reporter {
    /// Sends a message. A parent that is gone is none of the child's business: it shows at the next wait.
    pub(crate) fn send(&self, message: &Message) {
        drop(self.send_with(message, &[]));
    }

    /// The same with descriptors, for messages that the child cannot do without.
    pub(crate) fn send_with(&self, message: &Message, fds: &[&OwnedFd]) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        sys::fds::send_with_fds(&self.socket, &bytes, &fds)?;
        Ok(())
    }

    pub(crate) fn warn(&self, warning: Warning) {
        self.send(&Message::Warning(warning));
    }

    /// Waits for the parent's byte; false when the parent is gone.
    pub(crate) fn wait(&self) -> bool {
        let mut byte = [0u8; 1];
        loop {
            match rustix::net::recv(&self.socket, &mut byte[..], RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => return other.is_ok_and(|(length, _)| length == 1),
            }
        }
    }
}

/// A step's failure, in the child.
pub(crate) fn failed<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Failure {
    move |e| Failure { step: step.to_owned(), message: format!("{step}: {e}"), class: Class::Other }
}

/// The same with what it was done to.
pub(crate) trait At<T> {
    fn at(self, step: &'static str, what: impl std::fmt::Display) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Display> At<T> for Result<T, E> {
    fn at(self, step: &'static str, what: impl std::fmt::Display) -> Result<T, Failure> {
        self.map_err(|e| Failure {
            step: step.to_owned(),
            message: format!("{step} \"{what}\": {e}"),
            class: Class::Other,
        })
    }
}
