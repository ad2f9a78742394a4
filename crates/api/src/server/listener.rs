//! Where the API is served.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A socket that listens.
pub enum Listener {
    Unix(UnixListener),
    /// Plain TCP. Whether that is acceptable is for the caller to decide: anyone who reaches it owns the account.
    Tcp(TcpListener),
    /// TLS; the acceptor demands client certificates when `--tlsverify` says so.
    Tls(TcpListener, TlsAcceptor),
}

impl Listener {
    /// A listening unix socket that was made elsewhere.
    pub fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener).map(Self::Unix)
    }

    /// A listening TCP socket that was made elsewhere.
    pub fn from_tcp(listener: std::net::TcpListener, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(match tls {
            Some(acceptor) => Self::Tls(listener, acceptor),
            None => Self::Tcp(listener),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Pending> {
        Ok(match self {
            Self::Unix(listener) => Pending::Ready(Stream::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => Pending::Ready(Stream::Tcp(without_delay(listener.accept().await?.0)?)),
            Self::Tls(listener, acceptor) => {
                Pending::Handshake(without_delay(listener.accept().await?.0)?, acceptor.clone())
            }
        })
    }
}

fn without_delay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An accepted connection, before its TLS handshake, which must not hold up others.
pub(super) enum Pending {
    Ready(Stream),
    Handshake(TcpStream, TlsAcceptor),
}

impl Pending {
    pub(super) async fn establish(self) -> io::Result<Stream> {
        match self {
            Self::Ready(stream) => Ok(stream),
            Self::Handshake(stream, acceptor) => {
                let secured = tokio::time::timeout(HANDSHAKE_TIMEOUT, secure(stream, acceptor)).await;
                secured.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

/// A client that connects and says nothing must not be kept for ever.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// What Go's server tells a client that speaks plain HTTP to a TLS port; clients show the text.
const PLAIN_HTTP: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

async fn secure(mut stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<Stream> {
    // A handshake record begins with the byte 22 (RFC 8446, 5.1), a request with the first letter of its method.
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        stream.write_all(PLAIN_HTTP).await?;
        // Closed with the request unread, the answer would be lost to a reset (RFC 9112, 9.6).
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MOST_UNREAD), &mut tokio::io::sink()).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on a TLS port"));
    }
    Ok(Stream::Tls(Box::new(acceptor.accept(stream).await?)))
}

/// How much of a request that is not answered is read before its connection is closed.
const MOST_UNREAD: u64 = 256 * 1024;

/// One client's connection.
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Another descriptor of a unix socket, for watching; none for the others.
    pub(super) fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Unix(stream) => stream.as_fd().try_clone_to_owned().map(Some),
            Self::Tcp(_) | Self::Tls(_) => Ok(None),
        }
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, buf))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx))
    }
}
