//! Connections that a client takes over without asking for an upgrade.
//!
//! Attach and exec start turn the connection into a raw stream in both directions. Since API 1.22 clients announce that
//! with `Upgrade: tcp` and are answered 101; a client that does not is answered 200, without a length, and from there on
//! the connection is raw all the same (moby `api/server/httputils.HijackConnection`). HTTP knows no such thing, so it is
//! made of what hyper knows: the head of such a request is read before hyper sees it and given an `Upgrade` header, and
//! the 101 that hyper writes becomes the 200 that the client expects.
//!
//! Only the first request of a connection is looked at: taking over is the last thing that happens on one, and clients
//! that hijack open a connection for it.

use bytes::{Buf, BytesMut};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

const HEAD_END: &[u8] = b"\r\n\r\n";

/// What the client reads instead of hyper's 101.
const RAW_OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";

/// A connection whose first head has been looked at.
pub(super) struct HijackIo<S> {
    stream: S,
    /// What was read ahead and is to be read again.
    ahead: BytesMut,
    response: ResponseHead,
}

/// What becomes of the bytes that hyper writes.
enum ResponseHead {
    /// They go out as they are.
    Untouched,
    /// The head is being collected, to see whether it is a 101.
    Collecting(BytesMut),
    /// The head, rewritten or not, is on its way out.
    Sending(BytesMut),
}

impl<S: AsyncRead + Unpin> HijackIo<S> {
    pub(super) async fn open(mut stream: S) -> io::Result<Self> {
        let mut ahead = BytesMut::with_capacity(2048);
        loop {
            if stream.read_buf(&mut ahead).await? == 0 {
                break;
            }
            let method = &ahead[..ahead.len().min(5)];
            if !b"POST ".starts_with(method) || ahead.len() > super::MAX_HEAD {
                break;
            }
            if let Some(end) = find(&ahead, HEAD_END) {
                if let Some(head) = with_upgrade(&ahead[..end]) {
                    let rest = ahead.split_off(end);
                    ahead = BytesMut::from(head.as_slice());
                    ahead.unsplit(rest);
                    return Ok(Self { stream, ahead, response: ResponseHead::Collecting(BytesMut::new()) });
                }
                break;
            }
        }
        Ok(Self { stream, ahead, response: ResponseHead::Untouched })
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The head (without its empty line) of a request that hijacks without saying so, with an `Upgrade` header; none for
/// every other request.
fn with_upgrade(head: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(head).ok()?;
    let (request_line, headers) = text.split_once("\r\n").unwrap_or((text, ""));
    let path = request_line.split(' ').nth(1)?.split('?').next()?;
    let hijacks = path.ends_with("/attach") || (path.contains("/exec/") && path.ends_with("/start"));
    let named = |line: &str, name: &str| {
        line.split_once(':').is_some_and(|(field, _)| field.trim().eq_ignore_ascii_case(name))
    };
    if !hijacks || headers.split("\r\n").any(|line| named(line, "upgrade")) {
        return None;
    }
    let mut out = format!("{request_line}\r\nConnection: Upgrade\r\nUpgrade: tcp");
    for line in headers.split("\r\n").filter(|line| !line.is_empty() && !named(line, "connection")) {
        out.push_str("\r\n");
        out.push_str(line);
    }
    Some(out.into_bytes())
}

/// The head to send for the one hyper wrote, which ends in an empty line.
fn as_client_expects(head: &[u8]) -> &[u8] {
    if head.starts_with(b"HTTP/1.1 101") { RAW_OK } else { head }
}

impl<S: AsyncRead + Unpin> AsyncRead for HijackIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let count = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> HijackIo<S> {
    /// Sends what is left of a held-back head.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let ResponseHead::Sending(head) = &mut self.response {
            while head.has_remaining() {
                let count = ready!(Pin::new(&mut self.stream).poll_write(cx, head))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                head.advance(count);
            }
            self.response = ResponseHead::Untouched;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HijackIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let ResponseHead::Collecting(collected) = &mut this.response {
            collected.extend_from_slice(buf);
            if let Some(end) = find(collected, HEAD_END) {
                let rest = collected.split_off(end + HEAD_END.len());
                let mut out = BytesMut::from(as_client_expects(collected));
                out.unsplit(rest);
                this.response = ResponseHead::Sending(out);
            }
            // Taken over into `Sending`, which every later call sends first.
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_head(cx))?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_head(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_head(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expect: Option<&str>) {
        assert_eq!(
            with_upgrade(head.as_bytes()).map(|head| String::from_utf8(head).unwrap()).as_deref(),
            expect
        );
    }

    #[test]
    fn only_requests_that_hijack_are_changed() {
        check("POST /containers/x/start HTTP/1.1\r\nHost: x", None);
        check("POST /containers/x/attach?stream=1 HTTP/1.1\r\nUPGRADE: tcp", None);
        check(
            "POST /v1.40/containers/x/attach?stream=1 HTTP/1.1\r\nHost: x\r\nconnection: close",
            Some(
                "POST /v1.40/containers/x/attach?stream=1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nHost: x",
            ),
        );
        check(
            "POST /exec/x/start HTTP/1.1\r\nContent-Length: 2",
            Some("POST /exec/x/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2"),
        );
    }

    #[test]
    fn only_a_101_is_turned_into_a_200() {
        assert_eq!(as_client_expects(b"HTTP/1.1 101 UPGRADED\r\n\r\n"), RAW_OK);
        let refusal = b"HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(as_client_expects(refusal), refusal);
    }
}
