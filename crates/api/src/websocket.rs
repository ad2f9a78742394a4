//! `GET /containers/{name}/attach/ws`: a container's standard streams over a websocket (RFC 6455), for browsers, which
//! have no other way to a stream in both directions.
//!
//! Each message is a piece of the stream, without frames of Docker's: standard output and standard error come mixed, as
//! they happen (moby `wsContainersAttach`). Messages from the client, of text or binary, are written to stdin.

use crate::{
    error::{BadRequest, Error},
    request::Request,
    response::{self, Response},
};
use engine::attach::Attached;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, handshake::derive_accept_key, protocol::Role},
};

const CHUNK: usize = 32 * 1024;

/// The answer's `Sec-WebSocket-Accept` to a request that opens a websocket (RFC 6455, section 4.2.1).
///
/// # Errors
/// [`BadRequest::WebSocket`] names the header that is missing or wrong.
pub(crate) fn accept(headers: &HeaderMap) -> Result<String, Error> {
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let has =
        |name, wanted: &str| text(name).split(',').any(|word: &str| word.trim().eq_ignore_ascii_case(wanted));
    let wrong = |header| Err(BadRequest::WebSocket { header }.into());
    if !has(UPGRADE, "websocket") {
        return wrong("Upgrade");
    }
    if !has(CONNECTION, "upgrade") {
        return wrong("Connection");
    }
    if text(SEC_WEBSOCKET_VERSION) != "13" {
        return wrong("Sec-WebSocket-Version");
    }
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) => Ok(derive_accept_key(key.as_bytes())),
        None => wrong("Sec-WebSocket-Key"),
    }
}

/// Answers 101, and joins the client to what it is attached to.
pub(crate) fn join(request: &mut Request, accept: &str, attached: Attached) -> Result<Response, Error> {
    let Some(upgrade) = request.upgrade.take() else {
        return Err(BadRequest::WebSocket { header: "Upgrade" }.into());
    };
    let hangup = request.hangup.clone();
    tokio::spawn(async move {
        let gone = hangup.token();
        let client = match upgrade.await {
            Ok(client) => TokioIo::new(client),
            Err(error) => return tracing::debug!(%error, "take over a connection for a websocket"),
        };
        hangup.all_read().await;
        let socket = WebSocketStream::from_raw_socket(client, Role::Server, None).await;
        tokio::select! {
            served = serve(socket, attached) => {
                if let Err(error) = served {
                    tracing::debug!(%error, "websocket");
                }
            }
            () = gone.cancelled() => {}
        }
    });
    let mut response = response::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(accept).expect("base64 is a header value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

async fn serve<S>(socket: WebSocketStream<S>, attached: Attached) -> Result<(), tungstenite::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut to_client, from_client) = socket.split();
    let mut unframe = (!attached.tty).then(Unframe::default);
    if let Some(mut past) = attached.past {
        while let Some(chunk) = past.next().await {
            let chunk = chunk.map_err(std::io::Error::other)?;
            send(&mut to_client, payload(&mut unframe, &chunk)).await?;
        }
    }
    if let Some(stream) = attached.stream {
        let (from_container, to_container) = stream.socket.into_split();
        tokio::select! {
            output = copy_out(from_container, &mut to_client, unframe) => output?,
            input = copy_in(from_client, to_container) => return input,
        }
    }
    to_client.close().await
}

fn payload(unframe: &mut Option<Unframe>, chunk: &[u8]) -> Vec<u8> {
    match unframe {
        Some(unframe) => unframe.payload(chunk),
        None => chunk.to_vec(),
    }
}

async fn send<S>(to: &mut S, bytes: Vec<u8>) -> Result<(), tungstenite::Error>
where
    S: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    if bytes.is_empty() { Ok(()) } else { to.send(Message::binary(bytes)).await }
}

async fn copy_out<S>(
    mut from: impl AsyncRead + Unpin,
    to: &mut S,
    mut unframe: Option<Unframe>,
) -> Result<(), tungstenite::Error>
where
    S: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        send(to, payload(&mut unframe, &buffer[..count])).await?;
    }
}

/// Ends when the client closes the websocket: that is how it detaches.
async fn copy_in<S>(mut from: S, mut to: impl AsyncWrite + Unpin) -> Result<(), tungstenite::Error>
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    while let Some(message) = from.next().await {
        match message? {
            Message::Close(_) => break,
            message @ (Message::Binary(_) | Message::Text(_)) => {
                if let Err(error) = to.write_all(&message.into_data()).await {
                    // The container reads no stdin, or no more; its output goes on.
                    tracing::debug!(%error, "write a websocket's message to stdin");
                }
            }
            // Pongs are sent by the library.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    Ok(())
}

/// Takes Docker's frames apart: eight bytes, of which the last four are a length, before each piece (`pkg/stdcopy`).
/// Frames may be cut anywhere between chunks.
#[derive(Default)]
struct Unframe {
    header: Vec<u8>,
    /// Bytes of the current piece that are yet to come.
    left: usize,
}

impl Unframe {
    fn payload(&mut self, mut chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len());
        while !chunk.is_empty() {
            if self.left == 0 {
                let (head, rest) = chunk.split_at(chunk.len().min(8 - self.header.len()));
                self.header.extend_from_slice(head);
                chunk = rest;
                if let [_, _, _, _, a, b, c, d] = self.header[..] {
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.header.clear();
                }
                continue;
            }
            let (piece, rest) = chunk.split_at(chunk.len().min(self.left));
            out.extend_from_slice(piece);
            self.left -= piece.len();
            chunk = rest;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::attach;
    use tokio::net::UnixStream;

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let framed = b"\x01\0\0\0\0\0\0\x03abc\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x01d";
        for size in 1..=framed.len() {
            let mut unframe = Unframe::default();
            let out: Vec<u8> = framed.chunks(size).flat_map(|chunk| unframe.payload(chunk)).collect();
            assert_eq!(out, b"abcd", "in pieces of {size}");
        }
    }

    #[test]
    fn only_a_whole_handshake_is_accepted() {
        let whole = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = |without: &str| -> HeaderMap {
            let kept = whole.iter().filter(|(name, _)| *name != without);
            kept.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
        };
        // The example of RFC 6455, section 1.3.
        assert_eq!(accept(&headers("")).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (name, _) in whole {
            let text = accept(&headers(name)).unwrap_err().to_string().to_lowercase();
            assert_eq!(text, format!("bad websocket request: the header {name} is missing or wrong"));
        }
    }

    #[tokio::test]
    async fn input_and_output_go_through_as_messages() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (stream, mut container) = UnixStream::pair().unwrap();
        let stream = Some(attach::Stream { socket: stream, tty: false });
        let attached = Attached { past: None, stream, tty: false };
        let server = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
        let serving = tokio::spawn(serve(server, attached));
        let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;

        client.send(Message::text("in")).await.unwrap();
        let mut input = [0; 2];
        container.read_exact(&mut input).await.unwrap();
        assert_eq!(&input, b"in");
        container.write_all(b"\x01\0\0\0\0\0\0\x03out").await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::binary(&b"out"[..]));
        drop(container);
        assert!(matches!(client.next().await.unwrap().unwrap(), Message::Close(_)));
        serving.await.unwrap().unwrap();
    }
}
