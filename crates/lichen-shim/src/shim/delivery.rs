//! Log entries on their way to a process that may wait for a disk or a server ([`super::sender`]).
//!
//! # Theory of operation
//! Entries are queued here until the sender says that they have arrived: what a sender that died had and did not
//! confirm, the next one gets again. So an entry may arrive twice, but is not lost with a sender. The sender's socket
//! never blocks the loop. When the queue is full, the container waits for a while ([`Mode::Blocking`]), and after that,
//! or at once ([`Mode::NonBlocking`]), the oldest entries that the sender does not have yet are dropped and counted; the
//! count goes to the destination in their place.

use super::sender;
use logs::{Identity, Mode, Splitter, Stream};
use model::Timestamp;
use rustix::event::PollFlags;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a container that waits may have written ahead.
const ROOM: usize = 1 << 20;
/// How long a container waits for a destination that takes nothing; after that its entries are dropped, until half of
/// what waits has gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what waits is still delivered after the container's end.
const LINGER: Duration = Duration::from_secs(10);
/// Until another sender is started.
const PAUSE: Duration = Duration::from_secs(1);
/// Entries written at once.
const BATCH: usize = 64;

/// What a sender is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) driver: String,
    pub(super) options: BTreeMap<String, String>,
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
}

#[derive(Debug)]
pub(super) struct Delivery {
    start: Start,
    remote: bool,
    /// Whether the container waits when there is no room.
    waits: bool,
    room: usize,
    /// What was not confirmed, as the sender reads it.
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many of the queue's first are written to the sender, and their bytes.
    sent: usize,
    sent_bytes: usize,
    /// How much of the next one is.
    offset: usize,
    /// Entries dropped and not yet told of.
    dropped: u64,
    socket: Option<UnixStream>,
    confirmed: Vec<u8>,
    retry_at: Option<Instant>,
    full_since: Option<Instant>,
    /// The container's patience has ended.
    gave_up: bool,
    /// No more comes; what waits is dropped then.
    ends_at: Option<Instant>,
    stdout: Splitter,
    stderr: Splitter,
}

impl Delivery {
    pub(super) fn new(start: Start, mode: Mode, remote: bool) -> Self {
        let (waits, room) = match mode {
            Mode::Blocking => (true, ROOM),
            Mode::NonBlocking { buffer } => (false, usize::try_from(buffer).unwrap_or(usize::MAX)),
        };
        Self {
            start,
            remote,
            waits,
            room,
            queue: VecDeque::new(),
            bytes: 0,
            sent: 0,
            sent_bytes: 0,
            offset: 0,
            dropped: 0,
            socket: None,
            confirmed: Vec::new(),
            retry_at: None,
            full_since: None,
            gave_up: false,
            ends_at: None,
            stdout: Splitter::default(),
            stderr: Splitter::default(),
        }
    }

    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        let mut cut = Vec::new();
        let splitter = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        splitter.feed(bytes, now, |line, at, ends| cut.push(sender::entry(stream, at, line, ends)));
        self.push_all(cut);
    }

    pub(super) fn finish(&mut self, stream: Stream, now: Timestamp) {
        let mut cut = Vec::new();
        let splitter = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        splitter.finish(now, |line, at, ends| cut.push(sender::entry(stream, at, line, ends)));
        self.push_all(cut);
    }

    /// Nothing more will be written.
    pub(super) fn end(&mut self) {
        if self.ends_at.is_none() {
            self.ends_at = Some(Instant::now() + LINGER);
            self.advance();
        }
    }

    pub(super) fn is_remote(&self) -> bool {
        self.remote
    }

    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.dropped == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.waits && self.bytes >= self.room && !self.gave_up
    }

    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let out = if self.sent < self.queue.len() { PollFlags::OUT } else { PollFlags::empty() };
        self.socket.as_ref().map(|socket| (socket.as_fd(), PollFlags::IN | out))
    }

    pub(super) fn ready(&mut self) {
        self.hear();
        self.advance();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let patience = self.full_since.filter(|_| self.is_full()).map(|since| since + PATIENCE);
        let end = self.ends_at.filter(|_| !self.is_done());
        let retry = self.retry_at.filter(|_| !self.queue.is_empty());
        [patience, end, retry].into_iter().flatten().min()
    }

    pub(super) fn tidy(&mut self) {
        let now = Instant::now();
        if self.full_since.is_some_and(|since| since + PATIENCE <= now) {
            self.gave_up = true;
        }
        if self.ends_at.is_some_and(|at| at <= now) && !self.is_done() {
            let left = self.queue.len() as u64 + self.dropped;
            eprintln!(
                "lichen-shim: {}: {left} log entries were not delivered to {}",
                self.start.identity.name, self.start.driver
            );
            // The sender goes on for a moment with what it has.
            self.forget_sender();
            (self.dropped, self.bytes) = (0, 0);
            self.queue.clear();
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.advance();
        }
    }

    fn push_all(&mut self, entries: Vec<Vec<u8>>) {
        for entry in entries {
            self.bytes += entry.len();
            self.queue.push_back(entry);
        }
        self.advance();
        if !self.waits || self.gave_up {
            self.drop_oldest();
        }
        self.note_fullness();
    }

    /// As many as are too many, of those the sender has nothing of yet.
    fn drop_oldest(&mut self) {
        let first = self.sent + usize::from(self.offset > 0);
        let mut excess = (self.bytes - self.sent_bytes).saturating_sub(self.room);
        let mut count = 0;
        // The newest stays, however large.
        while excess > 0 && first + count + 1 < self.queue.len() {
            let length = self.queue[first + count].len();
            excess = excess.saturating_sub(length);
            self.bytes -= length;
            count += 1;
        }
        self.dropped +=
            self.queue.drain(first..first + count).map(|frame| sender::entries(&frame)).sum::<u64>();
    }

    fn note_fullness(&mut self) {
        self.gave_up &= self.bytes > self.room / 2;
        self.full_since =
            if self.bytes >= self.room { self.full_since.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Write as much as goes, to a new sender if there is none.
    fn advance(&mut self) {
        if self.socket.is_none() && self.retry_at.is_none() && !self.queue.is_empty() {
            self.start_sender();
        }
        self.tell_dropped();
        while self.sent < self.queue.len() {
            let Some(socket) = &mut self.socket else { return };
            let mut slices = Vec::with_capacity(BATCH);
            for (index, entry) in self.queue.range(self.sent..).take(BATCH).enumerate() {
                slices.push(IoSlice::new(if index == 0 { &entry[self.offset..] } else { entry }));
            }
            match socket.write_vectored(&slices) {
                Ok(written) => self.note_sent(written),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) => return self.lost_sender(&e),
            }
        }
        self.close_if_done();
    }

    /// The last one goes on by itself, and ends by itself.
    fn close_if_done(&mut self) {
        if self.ends_at.is_some()
            && let Some(socket) = &self.socket
            && let Err(e) = socket.shutdown(Shutdown::Write)
            && e.kind() != io::ErrorKind::NotConnected
        {
            self.lost_sender(&e);
        }
    }

    fn note_sent(&mut self, mut written: usize) {
        while written > 0 {
            let left = self.queue[self.sent].len() - self.offset;
            if written < left {
                self.offset += written;
                return;
            }
            self.sent_bytes += self.queue[self.sent].len();
            (self.sent, self.offset, written) = (self.sent + 1, 0, written - left);
        }
    }

    fn tell_dropped(&mut self) {
        if self.dropped > 0 && (self.bytes - self.sent_bytes < self.room || self.ends_at.is_some()) {
            let place = self.sent + usize::from(self.offset > 0);
            let told = sender::lost(self.dropped);
            self.bytes += told.len();
            self.queue.insert(place, told);
            self.dropped = 0;
        }
    }

    /// Read how many have arrived.
    fn hear(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer) {
            Ok(0) => return self.lost_sender(&io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.confirmed.extend_from_slice(&buffer[..n]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Err(e) => return self.lost_sender(&e),
        }
        let (counts, rest) = self.confirmed.as_chunks::<4>();
        let count: usize = counts.iter().map(|c| u32::from_le_bytes(*c) as usize).sum();
        self.confirmed = rest.to_vec();
        let arrived = count.min(self.sent);
        let bytes: usize = self.queue.drain(..arrived).map(|entry| entry.len()).sum();
        self.bytes -= bytes;
        self.sent_bytes -= bytes;
        self.sent -= arrived;
        self.note_fullness();
    }

    fn start_sender(&mut self) {
        let started = UnixStream::pair().map_err(|e| e.to_string()).and_then(|(ours, theirs)| {
            ours.set_nonblocking(true).map_err(|e| e.to_string())?;
            let argument = serde_json::to_string(&self.start).map_err(|e| e.to_string())?;
            let fds = [(theirs.as_fd(), sender::SOCKET)];
            sys::spawn::fork_into(&fds, sender::entry_point, &[argument]).map_err(|e| e.to_string())?;
            Ok(ours)
        });
        match started {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => {
                eprintln!("lichen-shim: start a log sender: {error}");
                self.retry_at = Some(Instant::now() + PAUSE);
            }
        }
    }

    fn forget_sender(&mut self) {
        (self.socket, self.sent, self.sent_bytes, self.offset) = (None, 0, 0, 0);
        self.confirmed.clear();
    }

    /// Another one gets what this one did not confirm.
    fn lost_sender(&mut self, error: &io::Error) {
        self.forget_sender();
        if !self.queue.is_empty() {
            eprintln!("lichen-shim: the log sender ended: {error}");
            self.retry_at = Some(Instant::now() + PAUSE);
        }
    }
}
