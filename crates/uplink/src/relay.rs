//! Carrying frames between a tap and a program's socket.
//!
//! Neither side waits for the other: while the program does not read, the tap is not read either, and its queue drops what
//! is too much, as a full link does. What the tap does not take is dropped too.

use crate::{
    Error, Protocol,
    args::Peer,
    framing::{Decoder, MAX_FRAME},
};
use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
};
use std::{
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
};

/// How many frames are carried before the other ends are looked at.
const TURN: usize = 64;

pub(crate) struct Relay {
    tap: OwnedFd,
    stream: UnixStream,
    protocol: Protocol,
    program: PathBuf,
    decoder: Decoder,
    /// What the program has not taken yet: at most one frame with its length.
    pending: Vec<u8>,
    scratch: Vec<u8>,
}

impl Relay {
    pub(crate) fn new(tap: OwnedFd, stream: UnixStream, peer: &Peer) -> Result<Self, Error> {
        stream.set_nonblocking(true).map_err(Error::io("set up", peer.socket.display().to_string()))?;
        Ok(Self {
            tap,
            stream,
            protocol: peer.protocol,
            program: peer.program.clone(),
            decoder: Decoder::new(peer.protocol),
            pending: Vec::new(),
            scratch: vec![0; MAX_FRAME],
        })
    }

    /// What to wait for.
    pub(crate) fn interests(&self) -> [PollFd<'_>; 2] {
        let (tap, stream) = if self.pending.is_empty() {
            (PollFlags::IN, PollFlags::IN)
        } else {
            (PollFlags::empty(), PollFlags::IN | PollFlags::OUT)
        };
        [
            PollFd::from_borrowed_fd(self.tap.as_fd(), tap),
            PollFd::from_borrowed_fd(self.stream.as_fd(), stream),
        ]
    }

    /// Carries what there is, as far as it goes now.
    pub(crate) fn carry(&mut self) -> Result<(), Error> {
        for _ in 0..TURN {
            if !self.flush()? || !self.read_tap()? {
                break;
            }
        }
        self.read_stream()
    }

    /// True when the program has taken everything.
    fn flush(&mut self) -> Result<bool, Error> {
        while !self.pending.is_empty() {
            match rustix::net::send(&self.stream, &self.pending, rustix::net::SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.pending.drain(..sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(_) => return Err(self.closed()),
            }
        }
        Ok(true)
    }

    /// True when there was a frame.
    fn read_tap(&mut self) -> Result<bool, Error> {
        match rustix::io::read(&self.tap, &mut self.scratch[..]) {
            Ok(length) => {
                // A frame that the protocol has no length for is lost, as one beyond a link's MTU is.
                if let Some(prefix) = self.protocol.length(length) {
                    self.pending.extend(prefix);
                    self.pending.extend_from_slice(&self.scratch[..length]);
                }
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::io("read", "the tap")(errno.into())),
        }
    }

    fn read_stream(&mut self) -> Result<(), Error> {
        for _ in 0..TURN {
            match rustix::io::read(&self.stream, &mut self.scratch[..]) {
                Ok(0) => return Err(self.closed()),
                Ok(length) => self.decoder.put(&self.scratch[..length]),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(_) => return Err(self.closed()),
            }
            loop {
                match self.decoder.frame() {
                    Ok(Some(frame)) => match rustix::io::write(&self.tap, frame) {
                        // EIO while the interface is down, EINVAL for what is no frame (drivers/net/tun.c): lost.
                        Ok(_)
                        | Err(Errno::AGAIN | Errno::INTR | Errno::IO | Errno::INVAL | Errno::NOBUFS) => {}
                        Err(errno) => return Err(Error::io("write", "the tap")(errno.into())),
                    },
                    Ok(None) => break,
                    Err(source) => return Err(Error::Frame { peer: self.program.clone(), source }),
                }
            }
        }
        Ok(())
    }

    fn closed(&self) -> Error {
        Error::Closed { peer: self.program.clone() }
    }
}
