//! Connections that become raw streams: attach and exec.

use crate::{
    error::Error,
    request::Request,
    response::{self, Response},
    server::hangup::Hangup,
    stream,
};
use bytes::Bytes;
use engine::{exec::Session, logs::LogStream};
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, UPGRADE},
};
use hyper::{ext::ReasonPhrase, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
    sync::mpsc,
};

const CHUNK: usize = 32 * 1024;

/// A process's standard streams, as the client is joined to them.
pub(crate) struct Joined {
    /// Sent first.
    pub(crate) past: Option<LogStream>,
    /// The shim reads stdin here and writes output already in the client's format.
    pub(crate) container: Option<UnixStream>,
    /// A terminal's output, which is raw, for a client that expects frames: an exec made with a terminal and started
    /// without.
    pub(crate) to_be_framed: bool,
    /// The exec whose process it is: clients ask for its exit code as soon as the stream ends.
    pub(crate) exec: Option<Arc<Session>>,
}

/// How long the end of a stream may wait for the exit code to be known. A client that detached leaves a process that
/// goes on, and is not to notice the wait.
const EXIT_PATIENCE: Duration = Duration::from_millis(250);

/// What is left of a request when its connection is to be taken over.
pub(crate) struct Taker {
    upgrade: Option<OnUpgrade>,
    hangup: Hangup,
}

impl Taker {
    pub(crate) fn of(request: &mut Request) -> Self {
        Self { upgrade: request.upgrade.take(), hangup: request.hangup.clone() }
    }

    /// Answers 101, and joins the client to what `open` opens once the client has read that.
    ///
    /// `framed` says in which form a failure of `open` is told in the stream.
    ///
    /// Only then, because clients that read the head through a buffer look for the stream in the socket alone
    /// (docker-py); dockerd, too, starts an exec after its head is out.
    ///
    /// A client that did not ask for an upgrade, and could not be given one (see `server::hijack`), gets the output as
    /// an ordinary body; it has no way to send input.
    pub(crate) async fn join<F>(
        self,
        content_type: HeaderValue,
        framed: bool,
        open: F,
    ) -> Result<Response, Error>
    where
        F: Future<Output = Result<Joined, engine::Error>> + Send + 'static,
    {
        let Some(upgrade) = self.upgrade else {
            let joined = open.await?;
            return Ok(response_body(joined, content_type));
        };
        let hangup = self.hangup;
        tokio::spawn(async move {
            let gone = hangup.token();
            let client = match upgrade.await {
                Ok(client) => TokioIo::new(client),
                Err(error) => return tracing::debug!(%error, "take over a connection"),
            };
            hangup.all_read().await;
            tokio::select! {
                () = serve(client, open, framed) => {}
                () = gone.cancelled() => {}
            }
        });
        let mut response = response::empty(StatusCode::SWITCHING_PROTOCOLS);
        response.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        Ok(response)
    }
}

/// Sends the past, then copies both ways until the container's output ends. When only the client's sending half is
/// closed, so is the container's stdin, and output goes on.
async fn serve(
    client: impl AsyncRead + AsyncWrite,
    open: impl Future<Output = Result<Joined, engine::Error>>,
    framed: bool,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let Joined { past, container, to_be_framed, exec } = match open.await {
        Ok(joined) => joined,
        Err(error) => {
            log_end("failure", to_client.write_all(&in_stream(&error, framed)).await);
            return log_end("close output", to_client.shutdown().await);
        }
    };
    if let Some(past) = past {
        log_end("log", send_log(past, &mut to_client).await);
    }
    let Some(container) = container else { return log_end("close output", to_client.shutdown().await) };
    let (mut from_container, mut to_container) = container.into_split();
    let input = async {
        let copied = tokio::io::copy(&mut from_client, &mut to_container).await;
        log_end("stdin", copied.map(drop));
        log_end("close stdin", to_container.shutdown().await);
        std::future::pending::<()>().await;
    };
    let output = async {
        let copied = match to_be_framed {
            true => copy_framed(&mut from_container, &mut to_client).await,
            false => tokio::io::copy(&mut from_container, &mut to_client).await.map(drop),
        };
        log_end("output", copied);
        known_end(exec).await;
        log_end("close output", to_client.shutdown().await);
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}

async fn copy_framed(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&frame(&buffer[..count])).await?;
    }
}

async fn known_end(exec: Option<Arc<Session>>) {
    let Some(exec) = exec else { return };
    if tokio::time::timeout(EXIT_PATIENCE, exec.exit_code()).await.is_err() {
        tracing::debug!(exec = %exec.id, "its stream has ended before it");
    }
}

/// Docker's frame of standard output: kind, three zeros, the length (`pkg/stdcopy`).
fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&[1, 0, 0, 0], length.to_be_bytes().as_slice(), bytes].concat()
}

/// A failure after the head is out, as a line of standard output (moby `postContainerExecStart`).
fn in_stream(error: &engine::Error, framed: bool) -> Vec<u8> {
    let text = format!("{error}\r\n");
    if framed { frame(text.as_bytes()) } else { text.into_bytes() }
}

async fn send_log(mut log: LogStream, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    while let Some(chunk) = log.next().await {
        to.write_all(&chunk.map_err(io::Error::other)?).await?;
    }
    to.flush().await
}

/// Ends that a client or container brings about are ordinary; they are worth a line only when debugging.
fn log_end(what: &'static str, end: io::Result<()>) {
    if let Err(error) = end {
        tracing::debug!(%error, what, "raw stream");
    }
}

fn response_body(joined: Joined, content_type: HeaderValue) -> Response {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = send_body(joined, &sender).await {
            // Cuts the connection; when the client has left, there is nobody to tell.
            drop(sender.send(Err(error)).await);
        }
    });
    stream::chunks(content_type, receiver)
}

async fn send_body(joined: Joined, to: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let Joined { past, container, to_be_framed, exec } = joined;
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    if let Some(mut past) = past {
        while let Some(chunk) = past.next().await {
            to.send(Ok(chunk.map_err(io::Error::other)?)).await.map_err(gone)?;
        }
    }
    let Some(mut container) = container else { return Ok(()) };
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = tokio::select! {
            count = container.read(&mut buffer) => count?,
            () = to.closed() => return Ok(()),
        };
        if count == 0 {
            known_end(exec).await;
            return Ok(());
        }
        let chunk = &buffer[..count];
        let chunk = if to_be_framed { frame(chunk).into() } else { Bytes::copy_from_slice(chunk) };
        to.send(Ok(chunk)).await.map_err(gone)?;
    }
}
