//! A blocking end of either conversation.

use crate::wire::{self, Decoder, Received};
use crate::{FromHolder, FromShim, ProtoError, ToHolder, ToShim};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connected stream socket with its decoder and request counter.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    decoder: Decoder,
    seq: u64,
    peer: &'static str,
}

impl Connection {
    /// `peer` names the other end in errors: "holder", "shim".
    pub fn new(socket: UnixStream, peer: &'static str) -> Self {
        Self { socket, decoder: Decoder::new(), seq: 0, peer }
    }

    pub fn connect(path: &Path, peer: &'static str) -> Result<Self, ProtoError> {
        let socket = UnixStream::connect(path).map_err(|source| ProtoError::Socket {
            operation: "connect",
            peer,
            source,
        })?;
        Ok(Self::new(socket, peer))
    }

    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Send one frame, waiting for room.
    pub fn send<M: Serialize>(
        &mut self,
        seq: u64,
        msg: &M,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ProtoError> {
        let frame = wire::encode(seq, msg, fds.len())?;
        let mut sent = 0;
        while sent < frame.len() {
            let fds = if sent == 0 { fds } else { &[] };
            match wire::send(&self.socket, &frame[sent..], fds) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ProtoError::Socket { operation: "send", peer: self.peer, source }),
            }
        }
        Ok(())
    }

    /// Wait for one frame. None when the peer closed between frames.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<Received<M>>, ProtoError> {
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(Some(message));
            }
            match wire::receive(&self.socket, &mut self.decoder) {
                Ok(0) if self.decoder.is_mid_frame() => {
                    return Err(ProtoError::Closed { peer: self.peer, expected: "the rest of a frame" });
                }
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(ProtoError::Socket { operation: "receive", peer: self.peer, source });
                }
            }
        }
    }

    /// Ask the holder, and wait for its answer.
    pub fn ask_holder(
        &mut self,
        request: &ToHolder,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(FromHolder, Vec<OwnedFd>), ProtoError> {
        self.seq += 1;
        self.send(self.seq, request, fds)?;
        match self.receive::<FromHolder>()? {
            Some(reply) => Ok((reply.msg, reply.fds)),
            None => Err(ProtoError::Closed { peer: self.peer, expected: request.name() }),
        }
    }

    /// Ask a shim, and wait for its answer; events that come first are put into `events`.
    pub fn ask_shim(
        &mut self,
        request: &ToShim,
        fds: &[BorrowedFd<'_>],
        events: &mut Vec<FromShim>,
    ) -> Result<FromShim, ProtoError> {
        self.seq += 1;
        let seq = self.seq;
        self.send(seq, request, fds)?;
        loop {
            match self.receive::<FromShim>()? {
                Some(reply) if reply.seq == seq => return Ok(reply.msg),
                Some(event) if event.msg.is_event() => events.push(event.msg),
                Some(stray) => {
                    return Err(stray.msg.unexpected("the reply to the last request, or an event"));
                }
                None => return Err(ProtoError::Closed { peer: self.peer, expected: request.name() }),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
