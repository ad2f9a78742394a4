//! Connections from engines: one at a time as a rule, two while a new engine takes over.

use shim_proto::{Decoder, FromShim, ProtoError, Received, ToShim, wire};
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// An engine that does not read this much is stuck, and will reconnect when it is not.
const QUEUE: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Engine {
    socket: UnixStream,
    decoder: Decoder,
    queue: VecDeque<u8>,
    gone: bool,
}

impl Engine {
    pub(super) fn new(socket: UnixStream) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, decoder: Decoder::new(), queue: VecDeque::new(), gone: false })
    }

    pub(super) fn has_output(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Read once; a connection that ends or breaks the protocol is gone.
    pub(super) fn read(&mut self) {
        match wire::receive(&self.socket, &mut self.decoder) {
            Ok(0) => self.gone = true,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.gone = true,
        }
    }

    /// The next complete request.
    pub(super) fn request(&mut self) -> Option<Received<ToShim>> {
        match self.decoder.message() {
            Ok(request) => request,
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    pub(super) fn send(&mut self, seq: u64, message: &FromShim) {
        match wire::encode(seq, message, 0) {
            Ok(frame) => self.queue.extend(frame),
            Err(error) => self.complain(&error),
        }
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while !self.queue.is_empty() && !self.gone {
            match (&self.socket).write(self.queue.as_slices().0) {
                Ok(n) => drop(self.queue.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        self.gone |= self.queue.len() > QUEUE;
    }

    fn complain(&mut self, error: &ProtoError) {
        eprintln!("lichen-shim: engine: {error}");
        self.gone = true;
    }
}

impl AsFd for Engine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
