//! Noticing that a client has left, as opposed to having finished sending.
//!
//! On a stream socket of the unix domain poll(2) reports POLLHUP only when both directions are shut, POLLRDHUP when the
//! peer shut its sending half (unix(7), `unix_poll` in net/unix/af_unix.c). On TCP the two look the same until a write
//! fails, so there nothing is watched.
//!
//! The same watch tells when the client has read, which makes the socket writable anew.

use super::listener::Stream;
use std::{io, sync::Arc, time::Duration};
use tokio::{io::Interest, net::UnixStream, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Watches one connection as long as a clone of it lives.
#[derive(Clone)]
pub(crate) struct Hangup {
    token: CancellationToken,
    /// None where nothing can be told.
    watch: Option<Arc<Watch>>,
}

struct Watch {
    stream: Arc<UnixStream>,
    /// Changes whenever something happened at the socket.
    news: watch::Receiver<()>,
    task: JoinHandle<()>,
}

/// Ends the watching task when the last clone goes.
impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hangup {
    pub(super) fn watch(stream: &Stream) -> Self {
        let token = CancellationToken::new();
        let duplicate =
            stream.duplicate().and_then(|fd| fd.map(|fd| UnixStream::from_std(fd.into())).transpose());
        let stream = duplicate.unwrap_or_else(|error| {
            tracing::debug!(%error, "a client that leaves will not be noticed");
            None
        });
        let watch = stream.map(|stream| {
            let (told, news) = watch::channel(());
            let stream = Arc::new(stream);
            let task = tokio::spawn(cancel_at_hangup(stream.clone(), token.clone(), told));
            Arc::new(Watch { stream, news, task })
        });
        Self { token, watch }
    }

    /// Cancelled when the client has left.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Returns when the client has read everything that was written, or after a while, or at once where it cannot be
    /// told.
    pub(crate) async fn all_read(&self) {
        let Some(watch) = &self.watch else { return };
        let mut news = watch.news.clone();
        let read = async {
            while sys::socket::unread_by_peer(&*watch.stream).is_ok_and(|unread| unread > 0) {
                if news.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(READ_PATIENCE, read).await.is_err() {
            tracing::debug!("a client is slow to read the head of its stream");
        }
    }
}

/// Far longer than a client that waits for an answer takes to read it.
const READ_PATIENCE: Duration = Duration::from_millis(50);

async fn cancel_at_hangup(stream: Arc<UnixStream>, token: CancellationToken, news: watch::Sender<()>) {
    match hung_up(&stream, &news).await {
        Ok(()) => token.cancel(),
        Err(error) => tracing::debug!(%error, "watch a connection"),
    }
}

async fn hung_up(stream: &UnixStream, news: &watch::Sender<()>) -> io::Result<()> {
    loop {
        // POLLHUP is reported whatever is asked for (poll(2)); the peer's reading and sending wake this as well.
        let ready = stream.ready(Interest::WRITABLE).await?;
        if ready.is_write_closed() {
            return Ok(());
        }
        // Forget that it is writable: wait for the next change.
        let forget: io::Result<()> =
            stream.try_io(Interest::WRITABLE, || Err(io::ErrorKind::WouldBlock.into()));
        debug_assert!(forget.is_err());
        news.send_replace(());
    }
}
