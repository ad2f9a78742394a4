//! One client of a process's streams.

use super::detach_keys::Matcher;
use logs::Stream;
use rustix::io::Errno;
use shim_proto::Attach;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Output that waits for a client. When it is reached, the process's output is not read until the client has caught up.
const QUEUE: usize = 1 << 20;

/// A client that reads nothing for this long, while the process waits for it, is dropped.
const PATIENCE: Duration = Duration::from_secs(60);

/// An attached stream; see [`Attach`] for its protocol.
#[derive(Debug)]
pub(super) struct Attacher {
    socket: UnixStream,
    wants: Attach,
    tty: bool,
    keys: Matcher,
    queue: VecDeque<u8>,
    /// Since when the queue is full.
    full_since: Option<Instant>,
    /// The client's input has not ended.
    feeding: bool,
    /// Nothing more will be queued: close when all is written.
    pub(super) closing: bool,
    /// The client is gone.
    pub(super) gone: bool,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Nothing,
    Bytes(Vec<u8>),
    /// It typed its detach keys, perhaps after some input.
    Detach(Vec<u8>),
    End,
}

impl Attacher {
    pub(super) fn new(socket: OwnedFd, wants: Attach, tty: bool) -> io::Result<Self> {
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        // Docker looks for the keys in terminals' input only (moby `stream.CopyStreams`).
        let keys = Matcher::new(if tty { wants.detach_keys.0.clone() } else { Vec::new() });
        let feeding = wants.stdin;
        let queue = VecDeque::new();
        Ok(Self { socket, wants, tty, keys, queue, full_since: None, feeding, closing: false, gone: false })
    }

    pub(super) fn is_feeding(&self) -> bool {
        self.feeding && !self.closing
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE
    }

    pub(super) fn has_output(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When this client's patience ends, if it holds the process up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.full_since.map(|since| since + PATIENCE)
    }

    /// Queue output, framed unless it is a terminal's, and write what goes at once.
    pub(super) fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let (wanted, number) = match stream {
            Stream::Stdout => (self.wants.stdout, 1),
            Stream::Stderr => (self.wants.stderr, 2),
        };
        if !wanted || self.closing || self.gone {
            return;
        }
        let length = u32::try_from(bytes.len()).expect("a read is at most 64 KiB").to_be_bytes();
        let header = [number, 0, 0, 0, length[0], length[1], length[2], length[3]];
        let header: &[u8] = if self.tty { &[] } else { &header };
        let mut sent = 0;
        if self.queue.is_empty() {
            match (&self.socket).write_vectored(&[IoSlice::new(header), IoSlice::new(bytes)]) {
                Ok(n) => sent = n,
                Err(e) => self.check(&e),
            }
        }
        let rest = header.iter().chain(bytes).skip(sent);
        self.queue.extend(rest);
        self.note_fullness();
    }

    /// Write queued output, as much as goes.
    pub(super) fn flush(&mut self) {
        while !self.queue.is_empty() && !self.gone {
            let (front, _) = self.queue.as_slices();
            match (&self.socket).write(front) {
                Ok(n) => drop(self.queue.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => self.check(&e),
            }
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        self.note_fullness();
    }

    fn note_fullness(&mut self) {
        self.full_since =
            if self.is_full() { self.full_since.or_else(|| Some(Instant::now())) } else { None };
    }

    fn check(&mut self, error: &io::Error) {
        if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            self.gone = true;
        }
    }

    /// Read what the client typed.
    pub(super) fn input(&mut self) -> Input {
        let mut buffer = [0; 16 << 10];
        match (&self.socket).read(&mut buffer) {
            Ok(0) => {
                self.feeding = false;
                Input::End
            }
            Ok(n) => {
                let scanned = self.keys.scan(&buffer[..n]);
                if scanned.detach { Input::Detach(scanned.input) } else { Input::Bytes(scanned.input) }
            }
            Err(e) => {
                self.check(&e);
                if self.gone { Input::End } else { Input::Nothing }
            }
        }
    }

    /// The client closed its end altogether: poll(2) said HUP or ERR.
    pub(super) fn hung_up(&mut self) {
        self.gone = true;
    }
}

impl AsFd for Attacher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether a read or write that failed would succeed later.
pub(super) fn is_transient(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::INTR)
}
