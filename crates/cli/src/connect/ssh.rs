//! An engine on another machine: `system dial-stdio` run there by ssh(1), its standard input and output joined here.
//!
//! ssh is run as the user would run it: keys, agents, jump hosts and known hosts are those of `~/.ssh/config`.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::dial::Stream;
use super::host::Ssh;
use crate::error::Error;

/// What runs on the other side, whatever shell the account has. A session that is not a login has no `~/.local/bin` on
/// its PATH, where programs installed without root are. The first that is there will do: each speaks for the engine that
/// is named by the address, else by `DOCKER_HOST` or the selected context there, which lichen and docker share. With none
/// of these lichen goes to the user's own engine before the system's, as it does locally, and docker to the system's.
/// Podman knows its own engine only, and calls the option `--url`.
const REMOTE: &str = r#"PATH=$PATH:$HOME/.local/bin:$HOME/bin; for p in lichen docker podman; do command -v "$p" >/dev/null 2>&1 || continue; [ "$p$1" = podman--host ] && shift && set -- --url "$@"; exec "$p" "$@" system dial-stdio; done; echo "neither lichen nor docker nor podman is on PATH" >&2; exit 127"#;

/// What ssh complains of is shown up to this many bytes.
const COMPLAINT: u64 = 64 * 1024;

/// ssh ended before the engine said anything.
#[derive(Debug, thiserror::Error)]
#[error(
    "command [{command}] has exited with {status}, make sure the URL is valid, and lichen, Docker 18.09 or later, or podman is installed on the remote host: stderr={}",
    stderr.trim_end()
)]
pub struct SshEnded {
    command: String,
    status: String,
    stderr: String,
}

type Ending = Pin<Box<dyn Future<Output = io::Error> + Send>>;

enum State {
    /// Nothing was heard yet: the end of output would be ssh's failure.
    Quiet(Child, ChildStderr, String),
    /// The engine has answered; the process is kept so that dropping the stream ends it.
    Heard {
        _ssh: Child,
    },
    Ending(Ending),
    Ended,
}

struct SshStream {
    stdout: ChildStdout,
    /// None once this side has said all: only closing the pipe tells ssh so.
    stdin: Option<ChildStdin>,
    state: State,
}

pub(super) fn dial(address: &Ssh) -> Result<Stream, Error> {
    let words = words(address)?;
    let fail = |source| Error::Connect { operation: "run ssh".into(), source };
    let mut child = Command::new("ssh")
        .args(&words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(fail)?;
    match (child.stdout.take(), child.stdin.take(), child.stderr.take()) {
        (Some(stdout), Some(stdin), Some(stderr)) => {
            let state = State::Quiet(child, stderr, format!("ssh {}", words.join(" ")));
            Ok(Box::new(SshStream { stdout, stdin: Some(stdin), state }))
        }
        _ => Err(fail(io::Error::other("ssh has no standard streams"))),
    }
}

/// The arguments of ssh; the last is the command, which ssh hands to a shell.
fn words(address: &Ssh) -> Result<Vec<String>, Error> {
    let mut words: Vec<String> = ["-o", "ConnectTimeout=30", "-T"].map(str::to_owned).into();
    if let Some(user) = &address.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = address.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    words.extend(["--".to_owned(), address.host.clone()]);
    let socket = address.path.as_ref().map(|path| format!("unix://{path}"));
    let mut command = vec!["sh", "-c", REMOTE, "sh"];
    if let Some(socket) = &socket {
        command.extend(["--host", socket]);
    }
    words.push(shlex::try_join(command).map_err(|error| Error::Invalid(error.to_string()))?);
    Ok(words)
}

async fn ended(mut ssh: Child, stderr: ChildStderr, command: String) -> io::Error {
    let mut text = Vec::new();
    // What was read until a failure is all there is to show.
    let read = stderr.take(COMPLAINT).read_to_end(&mut text).await;
    let status = match ssh.wait().await {
        Ok(status) => status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}")),
        Err(error) => error.to_string(),
    };
    let stderr = match (read, text.is_empty()) {
        (Err(error), true) => error.to_string(),
        _ => String::from_utf8_lossy(&text).into_owned(),
    };
    io::Error::other(SshEnded { command, status, stderr })
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let State::Quiet(..) = this.state {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stdout).poll_read(cx, buf))?;
            let State::Quiet(ssh, stderr, command) = std::mem::replace(&mut this.state, State::Ended) else {
                return Poll::Ready(Ok(()));
            };
            if buf.filled().len() > before {
                // Nobody reads what ssh has to say from now on; it must not block on it.
                tokio::spawn(async move {
                    let mut stderr = stderr;
                    drop(tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await);
                });
                this.state = State::Heard { _ssh: ssh };
                return Poll::Ready(Ok(()));
            }
            this.state = State::Ending(Box::pin(ended(ssh, stderr, command)));
        }
        match &mut this.state {
            State::Ending(ending) => {
                let error = ready!(ending.as_mut().poll(cx));
                this.state = State::Ended;
                Poll::Ready(Err(error))
            }
            State::Ended => Poll::Ready(Ok(())),
            _ => Pin::new(&mut this.stdout).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(stdin) = &mut self.stdin else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(stdin).poll_write(cx, buf)) {
            // ssh is gone; why is for the reading side to say.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(buf.len())),
            outcome => Poll::Ready(outcome),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_on_the_other_side_is_no_shell_text() {
        let address = Ssh {
            user: Some("me".into()),
            host: "h".into(),
            port: Some(22),
            path: Some("/run/a'b;c.sock".into()),
        };
        let words = words(&address).unwrap();
        assert_eq!(words[3..9], ["-l", "me", "-p", "22", "--", "h"]);
        let command = shlex::split(words.last().unwrap()).unwrap();
        assert_eq!(command[..2], ["sh", "-c"]);
        assert_eq!(command[3..], ["sh", "--host", "unix:///run/a'b;c.sock"]);
    }
}
