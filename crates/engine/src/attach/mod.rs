//! `attach`: a client's connection to a container's standard streams, before or after its start.
//!
//! The shim does the work: it is given one end of a socket pair and multiplexes there as Docker does, and the engine
//! relays the other end's bytes without looking at them.

pub mod detach_keys;

use crate::{
    Container, Engine, Error,
    container::{Record, State},
    live::WaitingStream,
    logs::{self, LogStream},
};
use shim_proto::Attach;
use std::{os::fd::OwnedFd, sync::Arc};
use tokio::net::UnixStream;

/// What a client wants of an attachment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// What comes from now on.
    pub stream: bool,
    /// What came until now.
    pub logs: bool,
    /// As `--detach-keys` has them; none for the default.
    pub detach_keys: Option<String>,
}

/// A connection to a process's standard streams, as `shim_proto::Attach` describes its bytes.
#[derive(Debug)]
pub struct Stream {
    pub socket: UnixStream,
    /// Raw bytes rather than Docker's frames.
    pub tty: bool,
}

/// What came of an attachment: first the past, then the stream.
pub struct Attached {
    pub past: Option<LogStream>,
    pub stream: Option<Stream>,
    pub tty: bool,
}

/// Attaches to a container; one that does not run yet is attached to at its start.
///
/// # Errors
/// [`Error::PausedBefore`], [`Error::Restarting`]; [`Error::Invalid`] for malformed detach keys.
pub async fn attach(engine: &Arc<Engine>, reference: &str, options: Options) -> Result<Attached, Error> {
    let container = engine.containers.find(reference)?;
    let keys = match &options.detach_keys {
        Some(keys) if !keys.is_empty() => detach_keys::parse(keys)?,
        _ => detach_keys::default(),
    };
    let record = container.record();
    check(&record)?;
    let tty = record.config.tty;
    let mut attached = Attached { past: None, stream: None, tty };
    let mut until = None;
    if options.stream {
        let attach = Attach {
            stdin: options.stdin && record.config.open_stdin,
            stdout: options.stdout,
            stderr: options.stderr,
            detach_keys: keys,
        };
        let (ours, theirs) = pair(tty)?;
        attached.stream = Some(ours);
        // A shim that is not there is one that will be, or has just gone; either way a start comes next, if anything.
        match container.live.shim() {
            Ok(shim) if record.state.run().is_some() => until = Some(shim.attach(attach, theirs).await?),
            _ => {
                container.live.wait_for_start(WaitingStream { attach, stream: theirs });
                deliver(&container).await;
            }
        }
    }
    if options.logs {
        let past = logs::Options {
            stdout: options.stdout,
            stderr: options.stderr,
            until,
            ..logs::Options::default()
        };
        attached.past = Some(logs::logs(engine, reference, past).await?);
    }
    engine.events.publish(crate::events::Kind::Container, "attach", record.id.as_str(), record.attributes());
    Ok(attached)
}

/// A stream that says `message` and ends.
pub(crate) fn closed_with(message: &str, tty: bool) -> Result<Stream, Error> {
    let (ours, theirs) = pair(tty)?;
    let text = format!("{message}\r\n");
    let mut bytes = Vec::new();
    if !tty {
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    }
    bytes.extend(text.into_bytes());
    // A line fits the socket's buffer, so this does not wait for a reader.
    std::io::Write::write_all(&mut std::os::unix::net::UnixStream::from(theirs), &bytes)
        .map_err(|source| Error::Stream { operation: "tell why the program does not run", source })?;
    Ok(ours)
}

/// Gives streams that waited for a start to a shim that has started meanwhile: whoever comes second of the two, the
/// client or the start, sees the other.
pub(crate) async fn deliver(container: &Container) {
    if container.record().state.run().is_none() {
        return;
    }
    let Ok(shim) = container.live.shim() else { return };
    for waiting in container.live.take_waiting() {
        // On failure its end closes, and the client sees the end of its stream.
        if let Err(error) = shim.attach(waiting.attach, waiting.stream).await {
            tracing::debug!(container = %container.id(), %error, "attach after the start");
        }
    }
}

fn check(record: &Record) -> Result<(), Error> {
    let id = || record.id.to_string();
    match &record.state {
        State::Paused(_) => Err(Error::PausedBefore { id: id(), verb: "attach" }),
        State::Restarting { .. } => Err(Error::Restarting { id: id() }),
        _ => Ok(()),
    }
}

/// Our end and the shim's.
pub(crate) fn pair(tty: bool) -> Result<(Stream, OwnedFd), Error> {
    let failed = |source| Error::Stream { operation: "make a socket pair", source };
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    Ok((Stream { socket: UnixStream::from_std(ours).map_err(failed)?, tty }, theirs.into()))
}
