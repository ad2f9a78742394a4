//! The process that hands a container's log entries to a destination that has to be waited for.
//!
//! A fork of the shim with one descriptor. It reads frames, a kind byte and a body: `E` and an entry in the form of the
//! `local` driver's file, or `L` and how many entries were dropped (u64, little-endian); and answers with how many it
//! has dealt with (u32, little-endian), whenever it has. It ends when the shim has, after a last try for what it still
//! has.

use super::delivery::Start;
use anyhow::bail;
use logs::{Config, Entry, Sink, Stream, local};
use model::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The descriptor of the connection to the shim.
pub(super) const SOCKET: RawFd = 3;

const ENTRY: u8 = b'E';
const LOST: u8 = b'L';

/// Between tries, at first and at last.
const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(5);
/// How long it is tried once nobody would get to know.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// The frame of an entry.
pub(super) fn entry(stream: Stream, at: Timestamp, line: &[u8], ends: bool) -> Vec<u8> {
    let mut frame = vec![ENTRY];
    local::encode(&mut frame, stream, at, line, ends);
    frame
}

/// The frame that stands for entries that were dropped.
pub(super) fn lost(count: u64) -> Vec<u8> {
    [&[LOST][..], &count.to_le_bytes()].concat()
}

/// How many entries a frame stands for.
pub(super) fn entries(frame: &[u8]) -> u64 {
    match frame {
        [LOST, count @ ..] => count.first_chunk().map_or(0, |count| u64::from_le_bytes(*count)),
        _ => 1,
    }
}

/// For [`sys::spawn::fork_into`]; the argument is a [`Start`].
pub(super) fn entry_point(arguments: &[String]) -> i32 {
    let outcome = prepare(arguments).and_then(|mut sender| sender.serve());
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("lichen-shim: log sender: {error:#}");
            1
        }
    }
}

struct Sender {
    name: String,
    socket: UnixStream,
    sink: Sink,
    /// Since when the shim is known to have gone.
    alone_since: Option<Instant>,
    failing: bool,
    /// Entries that were given up.
    lost: u64,
}

fn prepare(arguments: &[String]) -> anyhow::Result<Sender> {
    let start: Start = serde_json::from_str(arguments.first().map_or("", String::as_str))?;
    sys::process::set_title(c"lichen-shim", &["lichen-shim", "log", "--id", &start.identity.id])?;
    let socket = UnixStream::from(sys::fds::take_inherited(SOCKET)?);
    let config = Config::parse(&start.driver, &start.options)?;
    let name = start.identity.name.clone();
    let sink = Sink::open(&config, &start.path, start.identity)?;
    let sink = sink.ok_or_else(|| anyhow::anyhow!("log driver {} has nowhere to send to", start.driver))?;
    Ok(Sender { name, socket, sink, alone_since: None, failing: false, lost: 0 })
}

impl Sender {
    fn serve(&mut self) -> anyhow::Result<()> {
        let (mut buffer, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let n = self.socket.read(&mut chunk)?;
            if n == 0 {
                return if self.lost == 0 {
                    Ok(())
                } else {
                    bail!("{} entries of {} were lost", self.lost, self.name)
                };
            }
            buffer.extend_from_slice(&chunk[..n]);
            let (mut at, mut count) = (0, 0u32);
            while let Some((entry, taken)) = decode(&buffer[at..])? {
                self.deliver(&entry);
                (at, count) = (at + taken, count + 1);
                // Often enough for a slow server's entries not to be sent again by the next sender.
                if count == 16 {
                    self.confirm(&mut count);
                }
            }
            buffer.drain(..at);
            self.confirm(&mut count);
        }
    }

    /// A shim that has gone does not listen, and its successor asks for nothing.
    fn confirm(&mut self, count: &mut u32) {
        if *count > 0 && self.socket.write_all(&count.to_le_bytes()).is_err() {
            self.alone_since.get_or_insert_with(Instant::now);
        }
        *count = 0;
    }

    fn deliver(&mut self, entry: &Entry) {
        let mut pause = SOON;
        loop {
            let Err(error) = self.sink.deliver(entry) else {
                if std::mem::take(&mut self.failing) {
                    eprintln!("lichen-shim: log of {}: delivered again", self.name);
                }
                return;
            };
            let retried = Sink::is_worth_retrying(&error);
            if !std::mem::replace(&mut self.failing, true) {
                let next = if retried { "it is tried again" } else { "the entry is lost" };
                eprintln!("lichen-shim: log of {}: {error}; {next}", self.name);
            }
            if !retried || self.is_over() {
                self.lost += 1;
                return;
            }
            self.rest(pause);
            pause = (pause * 2).min(LATE);
        }
    }

    fn is_over(&self) -> bool {
        self.alone_since.is_some_and(|since| since.elapsed() >= LAST_TRIES)
    }

    /// Wait, and take note when the shim ends meanwhile.
    fn rest(&mut self, pause: Duration) {
        if self.alone_since.is_some() {
            return std::thread::sleep(pause.min(LAST_TRIES / 5));
        }
        let time =
            Timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: i64::from(pause.subsec_nanos()) };
        // Only its end: there is input all the time. RDHUP, which is what it ends its half with, is one too.
        let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::RDHUP)];
        if matches!(poll(&mut fds, Some(&time)), Ok(n) if n > 0) {
            self.alone_since = Some(Instant::now());
        }
    }
}

/// The first frame, as an entry, and its length; none when it is not whole yet.
fn decode(bytes: &[u8]) -> anyhow::Result<Option<(Entry, usize)>> {
    let Some((kind, body)) = bytes.split_first() else { return Ok(None) };
    match *kind {
        ENTRY => match local::decode(body) {
            local::Step::Record(entry, taken) => Ok(Some((entry, taken + 1))),
            local::Step::Incomplete => Ok(None),
            local::Step::Damaged => bail!("a damaged entry"),
        },
        LOST => Ok(body.first_chunk::<8>().map(|count| {
            let count = u64::from_le_bytes(*count);
            let line =
                format!("lichen: {count} log entries were dropped here: they were not taken in time\n");
            let entry = Entry { stream: Stream::Stderr, at: Timestamp::now(), line: line.into_bytes() };
            (entry, 9)
        })),
        other => bail!("an unknown kind of frame, {other}"),
    }
}
