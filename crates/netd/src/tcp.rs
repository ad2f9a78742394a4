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
//! Events are edge-triggered, so a flow is pumped until both sockets would block, or, so that one fast flow does not
//! starve the others, until its [`BUDGET`] is spent; then it is pumped again after the other events.

use crate::{
    pipes::{Pipe, Pipes},
    socket,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use std::{
    os::fd::{AsFd, OwnedFd},
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
    connecting: bool,
    /// Set when the port is removed: when to give up unless something moves.
    deadline: Option<Instant>,
}

#[derive(Default)]
struct Direction {
    pending: Vec<u8>,
    pipe: Option<Pipe>,
    moved: u64,
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
        let directions = [Direction::default(), Direction::default()];
        Self { sockets: [client, container], directions, connecting: true, deadline: None }
    }

    /// A flow both of whose sides are connected.
    pub(crate) fn joined(client: OwnedFd, server: OwnedFd) -> Self {
        Self { connecting: false, ..Self::new(client, server) }
    }

    pub(crate) fn sockets(&self) -> [&OwnedFd; 2] {
        [&self.sockets[0], &self.sockets[1]]
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// The port is gone: what is on the way may still arrive.
    pub(crate) fn orphan(&mut self, now: Instant) {
        self.deadline = Some(now + ORPHAN_PATIENCE);
    }

    /// Whether an orphaned flow's time is up.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Moves what can be moved. `scratch` has at least [`CHUNK`] bytes.
    pub(crate) fn pump(&mut self, writable: bool, scratch: &mut [u8], pipes: &mut Pipes) -> Outcome {
        if self.connecting {
            match self.connected(writable) {
                None => return Outcome::Waiting,
                Some(true) => self.connecting = false,
                Some(false) => return self.abort(),
            }
        }
        let before = self.moved();
        let mut again = false;
        for from in [0, 1] {
            match self.serve(from, scratch, pipes) {
                Stop::Blocked => {}
                Stop::Budget => again = true,
                Stop::Broken => return self.abort(),
            }
        }
        if self.deadline.is_some() && self.moved() != before {
            self.orphan(Instant::now());
        }
        match (self.directions.iter().all(|d| d.shut), again) {
            (true, _) => Outcome::Over,
            (false, true) => Outcome::Again,
            (false, false) => Outcome::Waiting,
        }
    }

    fn moved(&self) -> u64 {
        self.directions.iter().map(|d| d.moved).sum()
    }

    /// Whether the container's side is connected; none while it is not known.
    fn connected(&self, writable: bool) -> Option<bool> {
        match socket::connected(&self.sockets[1], writable) {
            // The event was the client's.
            Ok(false) => None,
            Ok(true) => Some(true),
            Err(_) => Some(false),
        }
    }

    fn serve(&mut self, from: usize, scratch: &mut [u8], pipes: &mut Pipes) -> Stop {
        let (source, sink) = (&self.sockets[from], &self.sockets[1 - from]);
        let direction = &mut self.directions[from];
        if direction.shut {
            return Stop::Blocked;
        }
        for _ in 0..BUDGET {
            let step = match &mut direction.pipe {
                Some(pipe) => splice_step(pipe, &mut direction.ended, source, sink),
                None => copy_step(&mut direction.pending, &mut direction.ended, source, sink, scratch),
            };
            match step {
                Ok(0) => return Stop::Blocked,
                Ok(moved) => direction.moved += moved as u64,
                Err(Errno::AGAIN) => return Stop::Blocked,
                Err(Errno::INTR) => {}
                Err(_) => return Stop::Broken,
            }
            if direction.is_done() {
                direction.shut = true;
                if let Some(pipe) = direction.pipe.take() {
                    pipes.give_back(pipe);
                }
                // ENOTCONN: the other side has been reset meanwhile, which its own direction finds out.
                return match shutdown(sink, Shutdown::Write) {
                    Ok(()) | Err(Errno::NOTCONN) => Stop::Blocked,
                    Err(_) => Stop::Broken,
                };
            }
            if direction.pipe.is_none() && direction.moved >= BULK && direction.pending.is_empty() {
                direction.pipe = pipes.lend();
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
    fn is_done(&self) -> bool {
        self.ended && self.pending.is_empty() && self.pipe.as_ref().is_none_or(Pipe::is_empty)
    }
}

/// Sends what is pending, or else receives and sends. Returns how many bytes moved or, at the end of data, 1, so that
/// 0 always means that nothing can be done now.
fn copy_step(
    pending: &mut Vec<u8>,
    ended: &mut bool,
    source: impl AsFd,
    sink: impl AsFd,
    scratch: &mut [u8],
) -> Result<usize, Errno> {
    if !pending.is_empty() {
        let sent = send(sink, pending, SendFlags::NOSIGNAL)?;
        pending.drain(..sent);
        if pending.is_empty() {
            *pending = Vec::new();
        }
        return Ok(sent);
    }
    let (_, received) = recv(source, &mut scratch[..CHUNK], RecvFlags::empty())?;
    if received == 0 {
        *ended = true;
        return Ok(1);
    }
    let sent = match send(sink, &scratch[..received], SendFlags::NOSIGNAL) {
        Ok(sent) => sent,
        Err(Errno::AGAIN | Errno::INTR) => 0,
        Err(error) => return Err(error),
    };
    pending.extend_from_slice(&scratch[sent..received]);
    Ok(received)
}

/// As [`copy_step`], through a pipe: it is emptied before it is filled, so that it always has room.
fn splice_step(
    pipe: &mut Pipe,
    ended: &mut bool,
    source: impl AsFd,
    sink: impl AsFd,
) -> Result<usize, Errno> {
    if !pipe.is_empty() {
        return pipe.drain(sink);
    }
    match pipe.fill(source)? {
        0 => {
            *ended = true;
            Ok(1)
        }
        filled => Ok(filled),
    }
}
