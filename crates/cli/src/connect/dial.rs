//! One byte stream to the engine.

use std::io;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::endpoint::Endpoint;
use super::host::{Host, Ssh};
use super::tls;
use crate::error::Error;

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub type Stream = Box<dyn Duplex>;

/// One line of advice under "Cannot connect".
const HINT: &str = "\nStart the engine with \"lichen daemon\" (or \"systemctl --user start docker\"), or name another with -H or DOCKER_HOST.";

pub async fn dial(endpoint: &Endpoint) -> Result<Stream, Error> {
    match &endpoint.host {
        Host::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| refused(endpoint, error))?;
            Ok(Box::new(stream))
        }
        Host::Tcp(address) => {
            let stream = TcpStream::connect(address).await.map_err(|error| refused(endpoint, error))?;
            stream.set_nodelay(true).map_err(|error| refused(endpoint, error))?;
            match &endpoint.tls {
                Some(files) => tls::handshake(files, address, stream).await,
                None => Ok(Box::new(stream)),
            }
        }
        Host::Ssh(ssh) => over_ssh(ssh),
    }
}

fn refused(endpoint: &Endpoint, source: io::Error) -> Error {
    let address = endpoint.host.display();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::SocketDenied { address, source },
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            // Advice about a local engine helps nobody whose engine is elsewhere.
            let local = matches!(endpoint.host, Host::Unix(_));
            Error::NotRunning { address, hint: if local { HINT } else { "" } }
        }
        _ => Error::Connect { operation: format!("dial {address}"), source },
    }
}

/// ssh's stdin and stdout as one stream; ssh ends when they close.
struct SshStream {
    stdout: ChildStdout,
    /// None once this side has said all: only closing the pipe tells ssh so.
    stdin: Option<ChildStdin>,
    _ssh: Child,
}

fn over_ssh(ssh: &Ssh) -> Result<Stream, Error> {
    let mut command = Command::new("ssh");
    if let Some(user) = &ssh.user {
        command.args(["-l", user]);
    }
    if let Some(port) = ssh.port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["-o", "ConnectTimeout=30", "-T", "--", &ssh.host, "docker"]);
    if let Some(path) = &ssh.path {
        command.args(["--host", &format!("unix://{path}")]);
    }
    command.args(["system", "dial-stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let fail = |source| Error::Connect { operation: "run ssh".into(), source };
    let mut child = command.spawn().map_err(fail)?;
    match (child.stdout.take(), child.stdin.take()) {
        (Some(stdout), Some(stdin)) => Ok(Box::new(SshStream { stdout, stdin: Some(stdin), _ssh: child })),
        _ => Err(fail(io::Error::other("ssh has no stdin or stdout"))),
    }
}

mod forward {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;
    use tokio::io::ReadBuf;

    impl AsyncRead for SshStream {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stdout).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for SshStream {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            match &mut self.stdin {
                Some(stdin) => Pin::new(stdin).poll_write(cx, buf),
                None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match &mut self.stdin {
                Some(stdin) => Pin::new(stdin).poll_flush(cx),
                None => Poll::Ready(Ok(())),
            }
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.stdin = None;
            Poll::Ready(Ok(()))
        }
    }
}
