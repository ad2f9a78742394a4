//! A worker: an event loop with flows and nothing else.

use super::{MESSAGE, Message};
use crate::{
    flows,
    poll::{Poll, Token},
    streams::Streams,
    tcp::{self, Flow},
};
use rustix::io::Errno;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

const SWEEP: Duration = Duration::from_secs(5);

/// Serves until whoever started it is gone.
pub(crate) fn run() -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    // `Control` is as good a name for it as any: the one descriptor that is no flow's.
    let mut poll = Poll::new()?;
    poll.add_input(&socket, Token::Control)?;
    let mut worker = Worker { socket, streams: Streams::default(), scratch: vec![0; tcp::CHUNK], said: 0 };
    let mut last_sweep = Instant::now();
    loop {
        let timeout = match (worker.streams.is_pressed(), worker.streams.len()) {
            (true, _) => Some(Duration::ZERO),
            (false, 0) => None,
            (false, _) => Some(SWEEP.saturating_sub(last_sweep.elapsed())),
        };
        for event in poll.wait(timeout)? {
            match event.token {
                Token::Control if worker.take(&poll)? == Heard::End => return Ok(()),
                Token::Stream(key, end) => worker.streams.pump(key, end, event.ready, &mut worker.scratch),
                _ => {}
            }
        }
        worker.streams.go_on(&mut worker.scratch);
        if last_sweep.elapsed() >= SWEEP {
            last_sweep = Instant::now();
            worker.streams.sweep(last_sweep);
        }
        worker.report();
    }
}

struct Worker {
    socket: OwnedFd,
    streams: Streams,
    scratch: Vec<u8>,
    /// The count that was reported last.
    said: usize,
}

#[derive(PartialEq, Eq)]
enum Heard {
    Message,
    End,
}

impl Worker {
    fn take(&mut self, poll: &Poll) -> io::Result<Heard> {
        let mut bytes = [0; MESSAGE];
        let (length, descriptors) = match sys::fds::recv_with_fds(&self.socket, &mut bytes) {
            Ok((0, _)) => return Ok(Heard::End),
            Ok(received) => received,
            Err(error) if error.errno == Errno::CONNRESET => return Ok(Heard::End),
            Err(error) => return Err(error.into()),
        };
        match Message::decode(&bytes[..length]) {
            Some(Message::Flow { port, connecting }) => {
                // Fewer than two: this process has no room for them, and the kernel closed them.
                if let Ok([client, server]) = <[OwnedFd; 2]>::try_from(descriptors) {
                    let flow =
                        if connecting { Flow::new(client, server) } else { Flow::joined(client, server) };
                    self.streams.join(poll, port, flow);
                }
            }
            Some(Message::Orphan { port }) => self.streams.orphan(port),
            Some(Message::List) => {
                // Whoever asked may be gone.
                if let Some(to) = descriptors.first() {
                    flows::send(&mut self.streams, to).ok();
                }
            }
            Some(Message::Count(_)) | None => {
                return Err(io::Error::other("expected a flow, the end of a port or a question"));
            }
        }
        Ok(Heard::Message)
    }

    /// Says how many flows there are, when a sixteenth of them has gone since.
    fn report(&mut self) {
        let now = self.streams.len();
        self.said = self.said.max(now);
        if self.said - now > self.said / 16 {
            let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
            // A full queue is no reason to wait: it is said again after the next events.
            if rustix::net::send(&self.socket, &Message::Count(now as u32).encode(), flags).is_ok() {
                self.said = now;
            }
        }
    }
}
