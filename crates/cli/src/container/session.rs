//! An attached container or exec process: its streams, its terminal's size, and the signals sent on to it.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};

use bytes::{Buf as _, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::connect::{Client, Query, Request};
use crate::error::Error;
use crate::opts::keys::{self, Detector, Typed};
use crate::tty;

/// Which streams are attached, and how.
#[derive(Debug, Clone)]
pub struct Streams {
    /// One raw stream rather than frames.
    pub tty: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub detach_keys: Vec<u8>,
}

/// Why relaying stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The other side closed its output.
    Closed,
    /// The user typed the detach sequence.
    Detached,
}

/// `--detach-keys`, config.json's, or ctrl-p ctrl-q. Only what is typed at a terminal is looked through for them.
pub fn detach_keys(flag: &str, config: &crate::config::Config, tty: bool) -> Result<Vec<u8>, Error> {
    if !tty {
        return Ok(Vec::new());
    }
    match [flag, config.file.detach_keys.as_str()].into_iter().find(|text| !text.is_empty()) {
        Some(text) => keys::parse(text)
            .map_err(|error| Error::invalid(format!("invalid detach keys ({text}): {error}"))),
        None => Ok(keys::DEFAULT.to_vec()),
    }
}

/// Copies both ways until the output ends or the user detaches. The terminal is raw meanwhile.
pub async fn relay(stream: TokioIo<Upgraded>, streams: &Streams) -> Result<Ended, Error> {
    let _raw = (streams.tty && streams.stdin).then(tty::Raw::enter).flatten();
    let (reader, mut writer) = tokio::io::split(stream);
    let output = copy_output(reader, streams);
    if !streams.stdin {
        return output.await.map(|()| Ended::Closed);
    }
    let input = async {
        let mut typed = read_stdin();
        let mut detector = Detector::new(streams.detach_keys.clone());
        while let Some(bytes) = typed.recv().await {
            let (bytes, detach) = match detector.feed(&bytes) {
                Typed::Forward(bytes) => (bytes, false),
                Typed::Detach(bytes) => (bytes, true),
            };
            // The process may be gone already; its output tells the rest.
            if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                return Ended::Closed;
            }
            if detach {
                return Ended::Detached;
            }
        }
        drop(writer.shutdown().await);
        Ended::Closed
    };
    tokio::pin!(output);
    tokio::select! {
        result = &mut output => return result.map(|()| Ended::Closed),
        ended = input => match ended {
            Ended::Detached => return Ok(Ended::Detached),
            Ended::Closed if !(streams.stdout || streams.stderr) => return Ok(Ended::Closed),
            Ended::Closed => {}
        },
    }
    output.await.map(|()| Ended::Closed)
}

/// Standard input, read by a thread of its own: a read of a terminal cannot be called off.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    if sender.blocking_send(buffer[..length].to_vec()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

async fn copy_output(mut reader: impl AsyncRead + Unpin, streams: &Streams) -> Result<(), Error> {
    let mut demux = Demux::default();
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    loop {
        buffer.reserve(16 * 1024);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // A detached or removed container ends the stream this way, too.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            // TLS without a farewell; as Go's library, take it for the end unless it comes within a frame.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && demux.at_boundary() => {
                return Ok(());
            }
            Err(source) => return Err(Error::Io { operation: "read the container's output", source }),
        }
        if streams.tty {
            if streams.stdout {
                write(1, &buffer)?;
            }
            buffer.clear();
        } else {
            demux.feed(&mut buffer, |stream, data| match stream {
                2 if streams.stderr => write(2, data),
                1 | 0 if streams.stdout => write(1, data),
                _ => Ok(()),
            })?;
        }
    }
}

/// Writes to standard output (1) or error (2).
pub fn write(stream: u8, data: &[u8]) -> Result<(), Error> {
    let result = match stream {
        2 => std::io::stderr().write_all(data),
        _ => {
            let mut out = std::io::stdout().lock();
            out.write_all(data).and_then(|()| out.flush())
        }
    };
    result.map_err(Error::io(if stream == 2 { "write stderr" } else { "write stdout" }))
}

/// Takes Docker's multiplexed stream apart: 8 bytes (stream, three zeros, length in big-endian), then that much data.
#[derive(Default)]
pub struct Demux {
    stream: u8,
    left: usize,
}

impl Demux {
    /// Whether nothing is begun that would need more data.
    pub fn at_boundary(&self) -> bool {
        self.left == 0
    }

    /// Hands out what is complete or begun, and leaves the rest in the buffer.
    pub fn feed(
        &mut self,
        buffer: &mut BytesMut,
        mut sink: impl FnMut(u8, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while !buffer.is_empty() {
            if self.left == 0 {
                let Some(header) = buffer.get(..8) else { return Ok(()) };
                let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                self.stream = header[0];
                if self.stream > 3 {
                    return Err(Error::invalid(format!("Unrecognized input header: {}", self.stream)));
                }
                self.left = usize::try_from(length).unwrap_or(usize::MAX);
                buffer.advance(8);
                continue;
            }
            let length = self.left.min(buffer.len());
            // Stream 3 is an error of the engine itself.
            sink(if self.stream == 3 { 2 } else { self.stream }, &buffer[..length])?;
            buffer.advance(length);
            self.left -= length;
        }
        Ok(())
    }
}

/// Tells the engine the terminal's size, now and whenever it changes. `path` is that of the container or exec session.
pub async fn follow_size(client: &Client, path: &str) -> Infallible {
    let mut changes = signal(SignalKind::window_change()).ok();
    // Right after the start the terminal may not be there yet.
    for attempt in 0..10u64 {
        if resize(client, path).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10 * (attempt + 1))).await;
    }
    loop {
        match &mut changes {
            Some(changes) => changes.recv().await,
            None => std::future::pending().await,
        };
        // A resize that fails changes nothing for the user but the size.
        drop(resize(client, path).await);
    }
}

async fn resize(client: &Client, path: &str) -> Result<(), Error> {
    let Some((rows, columns)) = tty::size() else { return Ok(()) };
    let query = Query::new().with("h", rows.to_string()).with("w", columns.to_string());
    client.run(Request::post(format!("{path}/resize")).query(query)).await
}

/// Signals that are sent on to the container rather than obeyed.
const FORWARDED: [(i32, &str); 9] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (10, "USR1"),
    (12, "USR2"),
    (14, "ALRM"),
    (15, "TERM"),
    (18, "CONT"),
    (20, "TSTP"),
];

/// Collects signals from now on; they are sent once [`Signals::forward`] runs.
pub struct Signals {
    receiver: mpsc::UnboundedReceiver<&'static str>,
}

impl Signals {
    pub fn catch() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        for (number, name) in FORWARDED {
            let Ok(mut stream) = signal(SignalKind::from_raw(number)) else { continue };
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if sender.send(name).is_err() {
                        return;
                    }
                }
            });
        }
        Self { receiver }
    }

    /// Sends each signal to the container.
    pub async fn forward(&mut self, client: &Client, id: &str) -> Infallible {
        while let Some(name) = self.receiver.recv().await {
            let request = Request::post(super::path(id, "/kill")).query(Query::new().with("signal", name));
            // A container that has just ended takes no signals.
            drop(client.run(request).await);
        }
        std::future::pending().await
    }
}

/// Leaves the terminal in order when a signal ends this process, for sessions that forward none.
pub async fn leave_on_signal() -> i32 {
    let watch = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut stream) => drop(stream.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let code = tokio::select! {
        () = watch(SignalKind::terminate()) => 15,
        () = watch(SignalKind::hangup()) => 1,
        () = watch(SignalKind::interrupt()) => 2,
    };
    tty::restore();
    128 + code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cut_anywhere() {
        let mut whole = Vec::new();
        for (stream, text) in [(1u8, "out"), (2, "err"), (1, "")] {
            whole.extend_from_slice(&[stream, 0, 0, 0, 0, 0, 0, text.len() as u8]);
            whole.extend_from_slice(text.as_bytes());
        }
        for cut in 0..whole.len() {
            let (mut demux, mut buffer) = (Demux::default(), BytesMut::new());
            let mut got = (Vec::new(), Vec::new());
            for part in [&whole[..cut], &whole[cut..]] {
                buffer.extend_from_slice(part);
                demux
                    .feed(&mut buffer, |stream, data| {
                        if stream == 1 {
                            got.0.extend_from_slice(data)
                        } else {
                            got.1.extend_from_slice(data)
                        }
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(got, (b"out".to_vec(), b"err".to_vec()));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let mut buffer = BytesMut::from(&b"GET / HTTP"[..]);
        assert!(Demux::default().feed(&mut buffer, |_, _| Ok(())).is_err());
    }
}
