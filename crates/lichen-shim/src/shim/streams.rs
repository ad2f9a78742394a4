//! A process's standard streams: pipes or a terminal on one side, the log and attached clients on the other.
//!
//! # Theory of operation
//! Everything is non-blocking. Output is read into the log and to every client that wants it; while one client's queue
//! is full nothing is read, so the process waits (as with Docker), until the client reads or its patience ends.
//! Input goes through one queue; clients are not read while it is full.

use super::attacher::{Attacher, Input, is_transient};
use super::log::Log;
use logs::Stream;
use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use shim_proto::{Attach, Io, WindowSize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Input that waits for the process.
const STDIN_QUEUE: usize = 64 << 10;
const CHUNK: usize = 64 << 10;

/// How long the output of an ended process is read while something else holds it open. Docker waits as long.
const LINGER: Duration = Duration::from_secs(2);

/// How often an ended process's stream is read without looking at its readers.
const LAST_READS: usize = 32;

/// Our ends of a process's streams.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Input of pipes; of a terminal, the master.
    pub(super) stdin: Option<OwnedFd>,
    /// Output of pipes; of a terminal, the master again.
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// A descriptor to poll, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Stdin,
    Output(Stream),
    Attacher(usize),
    /// Of the log's sender.
    Log,
}

#[derive(Debug)]
pub(super) struct Streams {
    io: Io,
    ends: Ends,
    queue: Vec<u8>,
    /// Input ends once the queue is written.
    end_stdin: bool,
    stdin_ended: bool,
    attachers: Vec<Attacher>,
    log: Option<Log>,
    linger_until: Option<Instant>,
}

impl Streams {
    pub(super) fn new(io: Io, ends: Ends, log: Option<Log>) -> io::Result<Self> {
        for end in [&ends.stdin, &ends.stdout, &ends.stderr].into_iter().flatten() {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            io,
            ends,
            queue: Vec::new(),
            end_stdin: false,
            stdin_ended: false,
            attachers: Vec::new(),
            log,
            linger_until: None,
        })
    }

    /// Copies for the holder: input unless it has ended, output, and errors unless it is a terminal. An output that has
    /// ended is stood in for by one that is at its end.
    pub(super) fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        let mut copies = Vec::new();
        if let Some(stdin) = &self.ends.stdin {
            copies.push(stdin.try_clone()?);
        }
        let outputs = if self.io.tty { 1 } else { 2 };
        for end in [&self.ends.stdout, &self.ends.stderr].into_iter().take(outputs) {
            copies.push(match end {
                Some(end) => end.try_clone()?,
                None => io::pipe()?.0.into(),
            });
        }
        Ok(copies)
    }

    /// Whether input ended since this was last asked: the holder's copy would keep it open.
    pub(super) fn take_stdin_ended(&mut self) -> bool {
        std::mem::take(&mut self.stdin_ended)
    }

    pub(super) fn attach(&mut self, socket: OwnedFd, wants: Attach) -> io::Result<()> {
        let wants = Attach { stdin: wants.stdin && self.io.open_stdin, ..wants };
        self.attachers.push(Attacher::new(socket, wants, self.io.tty)?);
        Ok(())
    }

    pub(super) fn resize(&self, size: WindowSize) -> Result<(), sys::Error> {
        match (&self.ends.stdout, self.io.tty) {
            (Some(master), true) => sys::pty::resize(master, size.rows, size.columns),
            _ => Ok(()),
        }
    }

    /// Descriptors to poll now.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags, Place)> {
        let mut list = Vec::new();
        if let Some(stdin) = &self.ends.stdin
            && !self.queue.is_empty()
        {
            list.push((stdin.as_fd(), PollFlags::OUT, Place::Stdin));
        }
        let held_up =
            self.attachers.iter().any(Attacher::is_full) || self.log.as_ref().is_some_and(Log::is_full);
        for (end, stream) in [(&self.ends.stdout, Stream::Stdout), (&self.ends.stderr, Stream::Stderr)] {
            if let (Some(end), false) = (end, held_up) {
                list.push((end.as_fd(), PollFlags::IN, Place::Output(stream)));
            }
        }
        if let Some((fd, flags)) = self.log.as_ref().and_then(Log::interest) {
            list.push((fd, flags, Place::Log));
        }
        let room = self.queue.len() < STDIN_QUEUE;
        for (index, attacher) in self.attachers.iter().enumerate() {
            // A client that left while its last input waits for room is not to be noticed before that is read.
            if attacher.is_feeding() && !room && !attacher.has_output() {
                continue;
            }
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, room && attacher.is_feeding());
            flags.set(PollFlags::OUT, attacher.has_output());
            // Even with no flag, poll(2) tells when the client has gone.
            list.push((attacher.as_fd(), flags, Place::Attacher(index)));
        }
        list
    }

    /// Handle what poll(2) reported. True when a client detached by its keys.
    pub(super) fn ready(&mut self, place: Place, flags: PollFlags) -> bool {
        match place {
            Place::Stdin => self.write_stdin(),
            Place::Output(stream) => drop(self.read_output(stream)),
            Place::Attacher(index) => return self.client(index, flags),
            Place::Log => {
                if let Some(log) = &mut self.log {
                    log.ready();
                }
            }
        }
        false
    }

    /// Drop clients that are done, gone or too slow. Call it when the places of one poll have all been handled.
    pub(super) fn tidy(&mut self) {
        let now = Instant::now();
        if let Some(log) = &mut self.log {
            log.tidy();
        }
        let ended = self.is_complete();
        for attacher in &mut self.attachers {
            attacher.closing |= ended;
            attacher.gone |= attacher.deadline().is_some_and(|d| d <= now);
        }
        self.attachers.retain(|a| !a.gone && (!a.closing || a.has_output()));
        if self.linger_until.is_some_and(|until| until <= now) {
            self.close_outputs();
        }
    }

    /// When [`Streams::tidy`] has something to do even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let log = self.log.as_ref().and_then(Log::deadline);
        self.attachers.iter().filter_map(Attacher::deadline).chain(self.linger_until).chain(log).min()
    }

    /// Whether all output has been read, and can be read again from the log.
    pub(super) fn is_complete(&self) -> bool {
        self.is_read() && self.log.as_ref().is_none_or(Log::is_readable)
    }

    /// Whether no client waits for output, nor a log's destination.
    pub(super) fn is_idle(&self) -> bool {
        self.attachers.is_empty() && (!self.is_read() || self.log.as_ref().is_none_or(Log::is_done))
    }

    fn is_read(&self) -> bool {
        self.ends.stdout.is_none() && self.ends.stderr.is_none()
    }

    /// The process has ended: read what there is; what others hold open is read for a while longer. Clients keep their
    /// places: this may come in the middle of what one poll reported, by SIGCHLD.
    pub(super) fn process_ended(&mut self) {
        self.queue.clear();
        self.ends.stdin = None;
        // Full queues do not count any more: what is left is no more than the pipes hold, unless others keep writing.
        for stream in [Stream::Stdout, Stream::Stderr] {
            for _ in 0..LAST_READS {
                if !self.read_output(stream) {
                    break;
                }
            }
        }
        if !self.is_read() {
            self.linger_until = Some(Instant::now() + LINGER);
        }
    }

    /// End the input, after what is queued.
    pub(super) fn close_stdin(&mut self) {
        // A terminal's input and output are one descriptor; its input ends by the end-of-file key, if at all.
        if !self.io.tty {
            self.end_stdin = true;
            self.write_stdin();
        }
    }

    /// A rotated log file that wants compressing.
    pub(super) fn take_compression(&mut self) -> Option<std::path::PathBuf> {
        self.log.as_mut().and_then(Log::take_compression)
    }

    pub(super) fn compressed(&mut self) {
        if let Some(log) = &mut self.log {
            log.compressed();
        }
    }

    fn client(&mut self, index: usize, flags: PollFlags) -> bool {
        let attacher = &mut self.attachers[index];
        if flags.contains(PollFlags::OUT) {
            attacher.flush();
        }
        let mut detached = false;
        if flags.contains(PollFlags::IN) && attacher.is_feeding() {
            match attacher.input() {
                Input::Nothing => {}
                Input::Bytes(bytes) => self.feed(&bytes),
                Input::Detach(bytes) => {
                    attacher.closing = true;
                    detached = true;
                    self.feed(&bytes);
                }
                Input::End => self.input_ended(index),
            }
        } else if flags.intersects(PollFlags::HUP | PollFlags::ERR) && self.queue.len() < STDIN_QUEUE {
            let was_feeding = attacher.is_feeding();
            attacher.hung_up();
            if was_feeding {
                self.input_ended(index);
            }
        }
        detached
    }

    /// As moby's `stream.CopyStreams`: input that is given once ends with its giver; otherwise the giver leaves.
    fn input_ended(&mut self, index: usize) {
        if self.io.stdin_once && !self.io.tty {
            self.close_stdin();
        } else {
            self.attachers[index].closing = true;
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.ends.stdin.is_some() && !self.end_stdin {
            self.queue.extend_from_slice(bytes);
            self.write_stdin();
        }
    }

    fn write_stdin(&mut self) {
        let Some(stdin) = &self.ends.stdin else { return };
        while !self.queue.is_empty() {
            match rustix::io::write(stdin, &self.queue) {
                Ok(n) => drop(self.queue.drain(..n)),
                Err(Errno::INTR) => {}
                Err(e) if is_transient(e) => return,
                Err(_) => {
                    // The process closed its input; what it does not want is dropped.
                    self.queue.clear();
                    self.end_stdin = true;
                }
            }
        }
        if self.end_stdin {
            self.ends.stdin = None;
            self.stdin_ended = true;
        }
    }

    /// Read once. True when there may be more.
    fn read_output(&mut self, stream: Stream) -> bool {
        let end = match stream {
            Stream::Stdout => &mut self.ends.stdout,
            Stream::Stderr => &mut self.ends.stderr,
        };
        let Some(fd) = end else { return false };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(fd.as_fd(), &mut buffer[..]) {
            Ok(0) => *end = None,
            Ok(n) => {
                self.deliver(stream, &buffer[..n]);
                return true;
            }
            Err(e) if is_transient(e) => return e == Errno::INTR,
            // A terminal whose last slave was closed answers EIO (tty_io.c); that is its end of file.
            Err(_) => *end = None,
        }
        self.finish_log(stream);
        self.end_log();
        false
    }

    fn deliver(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            log.write(stream, bytes);
        }
        for attacher in &mut self.attachers {
            attacher.output(stream, bytes);
        }
    }

    fn finish_log(&mut self, stream: Stream) {
        if let Some(log) = &mut self.log {
            log.finish(stream);
        }
    }

    fn end_log(&mut self) {
        if let Some(log) =
            self.log.as_mut().filter(|_| self.ends.stdout.is_none() && self.ends.stderr.is_none())
        {
            log.end();
        }
    }

    fn close_outputs(&mut self) {
        self.linger_until = None;
        for (end, stream) in
            [(self.ends.stdout.take(), Stream::Stdout), (self.ends.stderr.take(), Stream::Stderr)]
        {
            if end.is_some() {
                self.finish_log(stream);
            }
        }
        self.end_log();
        for attacher in &mut self.attachers {
            attacher.closing = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn attach(streams: &mut Streams) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let wants = Attach { stdin: true, stdout: true, stderr: true, ..Attach::default() };
        streams.attach(theirs.into(), wants).unwrap();
        ours
    }

    #[test]
    fn clients_keep_their_places_when_the_process_ends_in_the_middle_of_a_poll() {
        let (stdout, process) = io::pipe().unwrap();
        let io = Io { tty: false, open_stdin: true, stdin_once: false, size: None };
        let ends = Ends { stdin: None, stdout: Some(stdout.into()), stderr: None };
        let mut streams = Streams::new(io, ends, None).unwrap();
        let mut clients = [attach(&mut streams), attach(&mut streams)];
        drop(process);
        // What one poll reported: the end of the process first, then that each client has something to say.
        streams.process_ended();
        for index in 0..2 {
            assert!(!streams.ready(Place::Attacher(index), PollFlags::IN | PollFlags::HUP));
        }
        streams.tidy();
        assert!(streams.is_idle(), "the output is complete, so clients are done");
        for client in &mut clients {
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
    }
}
