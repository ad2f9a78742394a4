//! `logs`: what a container has written, and, followed, what it writes.

mod attributes;
mod format;

pub(crate) use attributes::{attributes, tag};

use crate::{Container, Engine, Error, blocking, container::Record, system::time};
use ::logs::{ReadOptions, Reader, Tail, Watch};
use bytes::{Bytes, BytesMut};
use format::Format;
use model::Timestamp;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
};

/// Which entries, and how they are written.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The last so many; none for all.
    pub tail: Option<u64>,
    pub timestamps: bool,
    /// Labels and variables that `--log-opt labels=…,env=…` names, before each line.
    pub details: bool,
    /// Go on until the container ends.
    pub follow: bool,
}

impl Options {
    /// `tail` of the query: a number, or `all` (also whatever else is no number, as in Docker).
    pub fn parse_tail(text: &str) -> Option<u64> {
        text.parse().ok()
    }

    /// `since` and `until` of the query; empty and `0` are none.
    pub fn parse_time(text: &str) -> Result<Option<Timestamp>, Error> {
        match text {
            "" | "0" => Ok(None),
            text => time::parse(text).map(Some).ok_or_else(|| Error::InvalidTime { text: text.to_owned() }),
        }
    }
}

/// The log, in pieces of many lines: raw for a container with a terminal, else in Docker's frames. Ends with the log;
/// a follower that goes away ends the reading.
pub struct LogStream {
    pub tty: bool,
    chunks: mpsc::Receiver<Result<Bytes, Error>>,
}

impl LogStream {
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        self.chunks.recv().await
    }
}

/// How much is read at a time.
const CHUNK: usize = 64 << 10;

/// Where the container's log is.
pub(crate) fn path(engine: &Engine, record: &Record) -> PathBuf {
    let directory = engine.config.data.container(&record.id);
    match record.host_config.log_config.r#type.as_str() {
        "json-file" => directory.join(format!("{}-json.log", record.id)),
        // Of the others, what is kept here for `docker logs`.
        _ => directory.join("local-logs").join("container.log"),
    }
}

/// Opens a container's log.
///
/// # Errors
/// [`Error::NoLogStreams`] when neither stream is wanted; [`Error::Logs`] of kind not-implemented where no file is kept.
pub async fn logs(engine: &Engine, reference: &str, options: Options) -> Result<LogStream, Error> {
    let container = engine.containers.find(reference)?;
    let record = container.record();
    if !options.stdout && !options.stderr {
        return Err(Error::NoLogStreams);
    }
    let log = &record.host_config.log_config;
    let config = ::logs::Config::parse(&log.r#type, &log.config)?;
    let file = config.file.ok_or(::logs::Error::NotReadable)?;
    let path = path(engine, &record);
    let read = ReadOptions {
        tail: options.tail.map_or(Tail::All, Tail::Last),
        since: options.since,
        until: options.until,
    };
    let tty = record.config.tty;
    let format = Format::new(&options, &record);
    let follow = options.follow && record.state.counts_as_running();
    let opened = {
        let path = path.clone();
        blocking("logs", move || {
            let watch = if follow { Some(Watch::new(&path)?) } else { None };
            Reader::open(&file, &path, read).map(|reader| (reader, watch))
        })
        .await??
    };
    let (sender, chunks) = mpsc::channel(4);
    let (reader, watch) = opened;
    tokio::spawn(pump(container, reader, watch, format, sender));
    Ok(LogStream { tty, chunks })
}

/// Reads until the end, or, with a watch, until the container's run has ended.
async fn pump(
    container: Arc<Container>,
    mut reader: Reader,
    watch: Option<Watch>,
    format: Format,
    out: mpsc::Sender<Result<Bytes, Error>>,
) {
    let mut changes = container.watch();
    let exits = changes.borrow().exits;
    let ended = move |r: &Arc<Record>| r.exits > exits || r.gone || r.state.run().is_none();
    let watch = match watch.map(Follow::new).transpose() {
        Ok(watch) => watch,
        Err(source) => {
            drop(out.send(Err(Error::Stream { operation: "watch the log", source })).await);
            return;
        }
    };
    loop {
        // Seen before the read: what was written before the end is then certainly read.
        let last = ended(&changes.borrow_and_update());
        let (back, read) = match read_all(reader, &format, &out).await {
            Ok(read) => read,
            Err(error) => {
                drop(out.send(Err(error)).await);
                return;
            }
        };
        reader = back;
        let Some(watch) = watch.as_ref().filter(|_| !last && read && !reader.is_past_end()) else { return };
        tokio::select! {
            changed = watch.changed() => {
                if let Err(error) = changed {
                    tracing::warn!(container = %container.id(), %error, "follow the log");
                    return;
                }
            }
            _ = changes.wait_for(&ended) => {}
            () = out.closed() => return,
        }
    }
}

/// A [`Watch`] on the event loop.
struct Follow {
    watch: Watch,
    ready: AsyncFd<OwnedFd>,
}

impl Follow {
    fn new(watch: Watch) -> io::Result<Self> {
        let descriptor = watch.as_fd().try_clone_to_owned()?;
        // Tokio wants `unsafe` for types that may lie about their descriptor. An OwnedFd does not.
        #[expect(deprecated, reason = "its successor is unsafe, and an OwnedFd is what it would be safe for")]
        let ready = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        Ok(Self { watch, ready })
    }

    async fn changed(&self) -> io::Result<()> {
        self.ready.readable().await?.clear_ready();
        self.watch.drain()
    }
}

/// Sends what is there. The boolean is false when nobody listens any more.
async fn read_all(
    mut reader: Reader,
    format: &Format,
    out: &mpsc::Sender<Result<Bytes, Error>>,
) -> Result<(Reader, bool), Error> {
    loop {
        let format = format.clone();
        let (back, chunk) = blocking("logs", move || {
            let chunk = read_chunk(&mut reader, &format);
            (reader, chunk)
        })
        .await?;
        reader = back;
        let chunk = chunk?;
        if chunk.is_empty() {
            return Ok((reader, true));
        }
        if out.send(Ok(chunk)).await.is_err() {
            return Ok((reader, false));
        }
    }
}

fn read_chunk(reader: &mut Reader, format: &Format) -> Result<Bytes, Error> {
    let mut chunk = BytesMut::new();
    while chunk.len() < CHUNK {
        let Some(entry) = reader.entry()? else { break };
        format.write(&entry, &mut chunk);
    }
    Ok(chunk.freeze())
}
