//! One TCP flow: two kernel sockets, the client's and the container's, and what is on the way between them.
//!
//! # Theory of operation
//! TCP ends at the forwarder on both sides, so what one side does must be carried to the other:
//!
//! ```text
//!   state        events                               leads to
//!   Connecting   the container's side connects        Open
//!                it is refused, or times out          reset towards the client, gone
//!   Open         data                                 copied; a full side stops the reading from the other
//!                end of data from one side (FIN)      what is on the way is sent, then FIN to the other;
//!                                                     the opposite direction goes on (half-close)
//!                both directions ended                gone
//!                a side breaks (RST, time-out)        reset towards the other, gone
//! ```
//!
//! While connecting nothing is read from the client: its data waits in the kernel's buffer.
//!
//! Each direction owns at most [`CHUNK`] bytes of memory, and those only while the receiving side is full. A direction
//! that has moved [`BULK`] bytes borrows a pipe and splices from then on.
//!
//! Events are edge-triggered. What they said is kept, so that no system call is made only to hear that it would block: a
//! short read has emptied the socket, and the next bytes come with an event of their own (epoll(7)). A flow is pumped until
//! both directions wait for an event or, so that one fast flow does not starve the others, until its [`BUDGET`] is spent;
//! then it is pumped again after the other events.

use crate::{
    flows::State,
    pipes::{Pipe, Pipes},
    poll::{End, Ready},
    socket,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// What is copied at once.
pub(crate) const CHUNK: usize = 64 << 10;
/// After how many bytes a direction is worth a pipe.
const BULK: u64 = 1 << 20;
/// How many times a direction is served before it is the others' turn.
const BUDGET: usize = 16;
/// How long a flow whose port was removed may go without moving anything.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);

/// A flow. Index 0 is the socket of who asked for it, 1 that of who was asked.
pub(crate) struct Flow {
    sockets: [OwnedFd; 2],
    /// `directions[i]` carries what `sockets[i]` sent to the other.
    directions: [Direction; 2],
    stage: Stage,
    /// Sockets that an event called broken.
    broken: [bool; 2],
    /// Set when the port is removed: when to give up unless something moves.
    deadline: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Refused,
    Open,
}

struct Direction {
    pending: Vec<u8>,
    pipe: Option<Pipe>,
    /// Bytes that have left the source.
    moved: u64,
    /// Whether anything has moved since somebody asked.
    stirred: bool,
    /// What events said since the socket last said that it would block.
    readable: bool,
    writable: bool,
    /// See [`Ready::more`].
    more: bool,
    ended: bool,
    shut: bool,
}

/// What became of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It waits for an event.
    Waiting,
    /// Its budget is spent: pump again.
    Again,
    /// It is over; drop it.
    Over,
}

/// Why a direction stopped for now.
enum Stop {
    Blocked,
    Budget,
    Broken,
}

impl Flow {
    /// A flow whose container side is being connected.
    pub(crate) fn new(client: OwnedFd, container: OwnedFd) -> Self {
        let directions = [Direction::new(), Direction::new()];
        let stage = Stage::Connecting;
        Self { sockets: [client, container], directions, stage, broken: [false; 2], deadline: None }
    }

    /// A flow both of whose sides are connected.
    pub(crate) fn joined(client: OwnedFd, server: OwnedFd) -> Self {
        Self { stage: Stage::Open, ..Self::new(client, server) }
    }

    pub(crate) fn sockets(&self) -> [&OwnedFd; 2] {
        [&self.sockets[0], &self.sockets[1]]
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.stage == Stage::Connecting
    }

    /// Bytes that each side has sent.
    pub(crate) fn moved(&self) -> [u64; 2] {
        [self.directions[0].moved, self.directions[1].moved]
    }

    pub(crate) fn state(&self) -> State {
        match self.stage {
            Stage::Connecting | Stage::Refused => State::Connecting,
            Stage::Open if self.directions.iter().any(|d| d.ended) => State::HalfClosed,
            Stage::Open => State::Open,
        }
    }

    /// The port is gone: what is on the way may still arrive.
    pub(crate) fn orphan(&mut self, now: Instant) {
        self.deadline = Some(now + ORPHAN_PATIENCE);
    }

    /// Whether an orphaned flow's time is up.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Takes in what an event said.
    pub(crate) fn hear(&mut self, end: End, ready: Ready) {
        let (from, to) = (end as usize, 1 - end as usize);
        self.directions[from].readable |= ready.readable;
        self.directions[from].more |= ready.more;
        self.directions[to].writable |= ready.writable;
        self.broken[from] |= ready.broken;
        if end == End::Asked && self.is_connecting() {
            match socket::connected(&self.sockets[1], ready) {
                Ok(true) => self.stage = Stage::Open,
                Ok(false) => {}
                Err(_) => self.stage = Stage::Refused,
            }
        }
    }

    /// Moves what can be moved. `scratch` has at least [`CHUNK`] bytes.
    pub(crate) fn pump(&mut self, scratch: &mut [u8], pipes: &mut Pipes) -> Outcome {
        match self.stage {
            Stage::Connecting => return Outcome::Waiting,
            Stage::Refused => return self.abort(),
            Stage::Open => {}
        }
        let mut again = false;
        for from in [0, 1] {
            match self.serve(from, scratch, pipes) {
                Stop::Blocked => {}
                Stop::Budget => again = true,
                Stop::Broken => return self.abort(),
            }
        }
        let mut stirred = false;
        for direction in &mut self.directions {
            stirred |= std::mem::take(&mut direction.stirred);
        }
        if self.deadline.is_some() && stirred {
            self.orphan(Instant::now());
        }
        match (self.directions.iter().all(|d| d.shut), again) {
            (true, _) => Outcome::Over,
            (false, true) => Outcome::Again,
            (false, false) if self.is_deaf() => self.abort(),
            (false, false) => Outcome::Waiting,
        }
    }

    /// Whether a side that had ended its own direction was reset since: nobody reads from it any more, so nothing else
    /// would tell.
    fn is_deaf(&self) -> bool {
        [0, 1]
            .into_iter()
            .any(|end| self.broken[end] && self.directions[end].shut && !self.directions[1 - end].shut)
    }

    fn serve(&mut self, from: usize, scratch: &mut [u8], pipes: &mut Pipes) -> Stop {
        let others_shut = self.directions[1 - from].shut;
        let (source, sink) = (&self.sockets[from], &self.sockets[1 - from]);
        let direction = &mut self.directions[from];
        if direction.shut {
            return Stop::Blocked;
        }
        for _ in 0..BUDGET {
            match direction.step(source, sink, scratch) {
                Ok(()) => direction.stirred = true,
                Err(Errno::AGAIN) => return Stop::Blocked,
                Err(Errno::INTR) => {}
                Err(_) => return Stop::Broken,
            }
            if direction.is_done() {
                direction.shut = true;
                if let Some(pipe) = direction.pipe.take() {
                    pipes.give_back(pipe);
                }
                if others_shut {
                    // Both have ended: closing the sockets, which comes next, says so as well.
                    return Stop::Blocked;
                }
                // ENOTCONN: the other side has been reset meanwhile, which its own direction finds out.
                return match shutdown(sink, Shutdown::Write) {
                    Ok(()) | Err(Errno::NOTCONN) => Stop::Blocked,
                    Err(_) => Stop::Broken,
                };
            }
            if direction.pipe.is_none() && direction.moved >= BULK && direction.pending.is_empty() {
                direction.pipe = pipes.lend();
                if direction.pipe.is_some() {
                    // One that cannot be told goes on as it is: slower, that is all.
                    socket::unpace_within_host(sink).ok();
                }
            }
        }
        Stop::Budget
    }

    /// Resets both sides.
    fn abort(&self) -> Outcome {
        for socket in &self.sockets {
            // A socket that cannot be told to reset is closed all the same.
            socket::reset_on_close(socket).ok();
        }
        Outcome::Over
    }

    /// Ends the flow at once, with resets, and gives its pipes back.
    pub(crate) fn kill(mut self, pipes: &mut Pipes) {
        self.abort();
        self.give_back(pipes);
    }

    /// Gives borrowed pipes back before the flow is dropped.
    pub(crate) fn give_back(&mut self, pipes: &mut Pipes) {
        for direction in &mut self.directions {
            if let Some(pipe) = direction.pipe.take() {
                pipes.give_back(pipe);
            }
        }
    }
}

impl Direction {
    fn new() -> Self {
        Self {
            pending: Vec::new(),
            pipe: None,
            moved: 0,
            stirred: false,
            readable: false,
            // Until it says otherwise.
            writable: true,
            more: false,
            ended: false,
            shut: false,
        }
    }

    fn is_carrying(&self) -> bool {
        !self.pending.is_empty() || self.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty())
    }

    fn is_done(&self) -> bool {
        self.ended && !self.is_carrying()
    }

    /// Sends what is on the way, or else receives, and sends what does not go through a pipe; EAGAIN until there is an
    /// event.
    fn step(&mut self, source: &OwnedFd, sink: &OwnedFd, scratch: &mut [u8]) -> Result<(), Errno> {
        if self.is_carrying() {
            if !self.writable {
                return Err(Errno::AGAIN);
            }
            let sent = self.send_on(sink);
            self.writable = sent != Err(Errno::AGAIN);
            return sent.map(drop);
        }
        if !self.readable {
            return Err(Errno::AGAIN);
        }
        let received = match &mut self.pipe {
            // Less than the pipe holds may have been all that fits: how much that is depends on how the data is cut.
            Some(pipe) => pipe.fill(source),
            None => self.copy(source, sink, scratch),
        };
        match received {
            Err(Errno::AGAIN) => self.readable = false,
            Ok(0) => self.ended = true,
            Ok(bytes) => self.moved += bytes as u64,
            Err(_) => {}
        }
        received.map(drop)
    }

    fn send_on(&mut self, sink: &OwnedFd) -> Result<usize, Errno> {
        if let Some(pipe) = self.pipe.as_mut().filter(|_| self.pending.is_empty()) {
            return pipe.drain(sink);
        }
        let sent = send(sink, &self.pending, SendFlags::NOSIGNAL)?;
        self.pending.drain(..sent);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        Ok(sent)
    }

    fn copy(&mut self, source: &OwnedFd, sink: &OwnedFd, scratch: &mut [u8]) -> Result<usize, Errno> {
        let (_, received) = recv(source, &mut scratch[..CHUNK], RecvFlags::empty())?;
        self.readable = self.more || received == CHUNK;
        let data = &scratch[..received];
        if data.is_empty() {
            return Ok(0);
        }
        let sent = match send(sink, data, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error),
        };
        if sent < received {
            // Asked again, the sink says when it has room.
            self.pending.extend_from_slice(&data[sent..]);
        }
        Ok(received)
    }
}
