//! Noticing that a client has left, as opposed to having finished sending.
//!
//! On a stream socket of the unix domain poll(2) reports POLLHUP only when both directions are shut, POLLRDHUP when the
//! peer shut its sending half (unix(7), `unix_poll` in net/unix/af_unix.c). On TCP the two look the same until a write
//! fails, so there nothing is watched.

use super::listener::Stream;
use std::{io, os::fd::OwnedFd, sync::Arc};
use tokio::{io::Interest, net::UnixStream, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Watches one connection as long as a clone of it lives.
#[derive(Clone)]
pub(crate) struct Hangup {
    token: CancellationToken,
    _watch: Arc<Watch>,
}

/// Ends the watching task when the last clone goes.
struct Watch(Option<JoinHandle<()>>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Hangup {
    pub(super) fn watch(stream: &Stream) -> Self {
        let token = CancellationToken::new();
        let task = match stream.duplicate() {
            Ok(Some(fd)) => Some(tokio::spawn(cancel_at_hangup(fd, token.clone()))),
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(%error, "a client that leaves will not be noticed");
                None
            }
        };
        Self { token, _watch: Arc::new(Watch(task)) }
    }

    /// Cancelled when the client has left.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

async fn cancel_at_hangup(fd: OwnedFd, token: CancellationToken) {
    match hung_up(fd).await {
        Ok(()) => token.cancel(),
        Err(error) => tracing::debug!(%error, "watch a connection"),
    }
}

async fn hung_up(fd: OwnedFd) -> io::Result<()> {
    let stream = UnixStream::from_std(fd.into())?;
    loop {
        // POLLHUP is reported whatever is asked for (poll(2)); writability changes rarely, so this task seldom wakes.
        let ready = stream.ready(Interest::WRITABLE).await?;
        if ready.is_write_closed() {
            return Ok(());
        }
        // Forget that it is writable: wait for the next change.
        let forget: io::Result<()> =
            stream.try_io(Interest::WRITABLE, || Err(io::ErrorKind::WouldBlock.into()));
        debug_assert!(forget.is_err());
    }
}
