//! Connections that become raw streams: attach and exec.

use crate::{
    request::Request,
    response::{self, Response},
    stream,
};
use bytes::Bytes;
use engine::logs::LogStream;
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, UPGRADE},
};
use hyper::{ext::ReasonPhrase, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

const CHUNK: usize = 32 * 1024;

/// What is left of a request when its connection is to be taken over.
pub(crate) struct Taker {
    upgrade: Option<OnUpgrade>,
    gone: CancellationToken,
}

impl Taker {
    pub(crate) fn of(request: &mut Request) -> Self {
        Self { upgrade: request.upgrade.take(), gone: request.hangup.token() }
    }

    /// Joins the client to `container`, where the shim reads stdin and writes output already in the client's format;
    /// `past`, in the same format, is sent before.
    ///
    /// A client that did not ask for an upgrade, and could not be given one (see `server::hijack`), gets the output as
    /// an ordinary body; it has no way to send input.
    pub(crate) fn join(
        self,
        past: Option<LogStream>,
        container: Option<UnixStream>,
        content_type: HeaderValue,
    ) -> Response {
        let Some(upgrade) = self.upgrade else { return response_body(past, container, content_type) };
        let gone = self.gone;
        tokio::spawn(async move {
            match upgrade.await {
                Ok(client) => tokio::select! {
                    () = serve(TokioIo::new(client), past, container) => {}
                    () = gone.cancelled() => {}
                },
                Err(error) => tracing::debug!(%error, "take over a connection"),
            }
        });
        let mut response = response::empty(StatusCode::SWITCHING_PROTOCOLS);
        response.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        response
    }
}

/// Sends the past, then copies both ways until the container's output ends. When only the client's sending half is
/// closed, so is the container's stdin, and output goes on.
async fn serve(client: impl AsyncRead + AsyncWrite, past: Option<LogStream>, container: Option<UnixStream>) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
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
        let copied = tokio::io::copy(&mut from_container, &mut to_client).await;
        log_end("output", copied.map(drop));
        log_end("close output", to_client.shutdown().await);
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
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

fn response_body(
    past: Option<LogStream>,
    container: Option<UnixStream>,
    content_type: HeaderValue,
) -> Response {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = send_body(past, container, &sender).await {
            // Cuts the connection; when the client has left, there is nobody to tell.
            drop(sender.send(Err(error)).await);
        }
    });
    stream::chunks(content_type, receiver)
}

async fn send_body(
    past: Option<LogStream>,
    container: Option<UnixStream>,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
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
            return Ok(());
        }
        to.send(Ok(Bytes::copy_from_slice(&buffer[..count]))).await.map_err(gone)?;
    }
}
