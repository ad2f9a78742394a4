//! Further processes for flows beyond what one process's descriptors allow.
//!
//! A process has so many descriptors (`RLIMIT_NOFILE`, often 20,000 at most), a flow takes two, and listeners, relays and
//! connections on their way take theirs. So when this process has its share of flows, the next ones are made here and
//! pumped elsewhere: their sockets are sent to a worker, which is this program again and does nothing else. Workers are
//! started when they are needed, and end with this process.
//!
//! ```text
//!   netd                                   worker
//!    │ flow{port, connecting} + 2 sockets    │
//!    ├──────────────────────────────────────►│ pumps it to its end
//!    │ list + a socket                       │
//!    ├──────────────────────────────────────►│ says over it which flows there are
//!    │ orphan{port}                          │
//!    ├──────────────────────────────────────►│ its flows may end what is on the way
//!    │ ◄─────────────────────────────────────┤ count{flows}, when it has changed much
//! ```

pub(crate) mod process;

use crate::{flows, slab::Key, tcp::Flow};
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair},
    process::{Resource, getrlimit},
};
use std::{
    ffi::OsString,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
};

/// As the first argument: be a worker, with the socket as standard input.
pub(crate) const VERB: &str = "--worker";
/// Four workers and this process: some 40,000 flows with 20,000 descriptors each.
const MAX_WORKERS: usize = 4;
/// A descriptor limit that is none would otherwise allow any amount of memory.
const MAX_FLOWS: usize = 65_536;

/// What is sent to a worker, and what it says: 9 bytes, the kind first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// A flow, whose sockets come along.
    Flow {
        port: Option<Key>,
        connecting: bool,
    },
    Orphan {
        port: Key,
    },
    /// Say which flows there are, over the socket that comes along.
    List,
    /// From the worker: how many flows it has.
    Count(u32),
}

pub(crate) const MESSAGE: usize = 9;

impl Message {
    fn encode(self) -> [u8; MESSAGE] {
        let (kind, port) = match self {
            Self::Flow { port: None, connecting } => (u8::from(connecting), None),
            Self::Flow { port, connecting } => (2 + u8::from(connecting), port),
            Self::Orphan { port } => (4, Some(port)),
            Self::List => (6, None),
            Self::Count(count) => (5, Some(Key { index: count, generation: 0 })),
        };
        let port = port.unwrap_or(Key { index: 0, generation: 0 });
        let mut bytes = [kind; MESSAGE];
        bytes[1..5].copy_from_slice(&port.index.to_le_bytes());
        bytes[5..].copy_from_slice(&port.generation.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; MESSAGE] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let port = Key { index: word(1), generation: word(5) };
        Some(match bytes[0] {
            kind @ (0 | 1) => Self::Flow { port: None, connecting: kind == 1 },
            kind @ (2 | 3) => Self::Flow { port: Some(port), connecting: kind == 3 },
            4 => Self::Orphan { port },
            5 => Self::Count(port.index),
            6 => Self::List,
            _ => return None,
        })
    }
}

/// The descriptors that this process may have.
fn descriptors() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}

struct Worker {
    socket: OwnedFd,
    process: Child,
    /// What it said last, and what it was sent since.
    flows: usize,
}

/// The workers that run.
pub(crate) struct Workers {
    running: Vec<Worker>,
    /// What this program's name is followed by on its command line.
    verb: Vec<OsString>,
    /// Flows that this process keeps to itself.
    own: usize,
    each: usize,
}

impl Workers {
    pub(crate) fn new(verb: Vec<OsString>) -> Self {
        let descriptors = descriptors();
        // An eighth of the descriptors here; nearly all of them there.
        let (own, each) = (descriptors / 16, descriptors.saturating_sub(128) / 2);
        Self { running: Vec::new(), verb, own: own.min(MAX_FLOWS), each: each.min(MAX_FLOWS) }
    }

    /// Sends a flow to a worker if this process has enough; returns it otherwise.
    pub(crate) fn offer(&mut self, held: usize, port: Option<Key>, flow: Flow) -> Option<Flow> {
        if held < self.own {
            return Some(flow);
        }
        self.hear();
        let mut flow = flow;
        loop {
            let Some(index) = self.free() else { return Some(flow) };
            match self.running[index].send(port, flow) {
                Ok(()) => return None,
                // It is gone, and its flows are.
                Err(back) => flow = back,
            }
            self.end(index);
        }
    }

    /// A worker with room, a new one if there is none.
    fn free(&mut self) -> Option<usize> {
        let with_room = self.running.iter().position(|worker| worker.flows < self.each);
        if with_room.is_some() || self.running.len() >= MAX_WORKERS {
            return with_room;
        }
        let worker =
            Worker::start(&self.verb).inspect_err(|error| eprintln!("netd: start a worker: {error}"));
        self.running.push(worker.ok()?);
        Some(self.running.len() - 1)
    }

    /// Takes in what the workers have said.
    fn hear(&mut self) {
        for index in (0..self.running.len()).rev() {
            if self.running[index].hear().is_err() {
                self.end(index);
            }
        }
    }

    fn end(&mut self, index: usize) {
        let mut worker = self.running.swap_remove(index);
        drop(worker.socket);
        // Its socket is closed: it ends if it has not yet.
        worker.process.wait().ok();
    }

    /// Has each worker tell its flows over a socket of its own, and returns where to hear it.
    pub(crate) fn ask_for_flows(&mut self) -> Vec<OwnedFd> {
        let ask = |worker: &Worker| {
            let (ours, theirs) = flows::way().ok()?;
            // One that is gone has none to tell.
            let asked = sys::fds::send_with_fds(&worker.socket, &Message::List.encode(), &[theirs.as_fd()]);
            asked.is_ok().then_some(ours)
        };
        self.running.iter().filter_map(ask).collect()
    }

    pub(crate) fn orphan(&mut self, port: Key) {
        for worker in &self.running {
            // One that is gone has no flows to end.
            let message = Message::Orphan { port }.encode();
            rustix::net::send(&worker.socket, &message, rustix::net::SendFlags::NOSIGNAL).ok();
        }
    }
}

impl Worker {
    fn start(verb: &[OsString]) -> std::io::Result<Self> {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Standard output is standard error by now, the log.
        let process =
            Command::new("/proc/self/exe").args(verb).arg(VERB).stdin(Stdio::from(theirs)).spawn()?;
        Ok(Self { socket, process, flows: 0 })
    }

    fn send(&mut self, port: Option<Key>, flow: Flow) -> Result<(), Flow> {
        let message = Message::Flow { port, connecting: flow.is_connecting() }.encode();
        let [first, second] = flow.sockets();
        match sys::fds::send_with_fds(&self.socket, &message, &[first.as_fd(), second.as_fd()]) {
            Ok(_) => {
                self.flows += 1;
                Ok(())
            }
            Err(_) => Err(flow),
        }
    }

    fn hear(&mut self) -> Result<(), Errno> {
        let mut bytes = [0; MESSAGE];
        loop {
            match rustix::net::recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Err(Errno::PIPE),
                Ok((_, length)) => {
                    if let Some(Message::Count(count)) = Message::decode(&bytes[..length]) {
                        self.flows = count as usize;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_way() {
        let port = Key { index: 7, generation: 0x00ff_ffff };
        for message in [
            Message::Flow { port: None, connecting: true },
            Message::Flow { port: None, connecting: false },
            Message::Flow { port: Some(port), connecting: true },
            Message::Flow { port: Some(port), connecting: false },
            Message::Orphan { port },
            Message::Count(20_000),
            Message::List,
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[9; MESSAGE]), None);
        assert_eq!(Message::decode(&[0; 3]), None);
    }
}
