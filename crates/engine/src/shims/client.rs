//! An asynchronous end of either conversation of `shim-proto`.
//!
//! Requests may be sent before earlier ones are answered: the peer answers in order, and each reply finds its request
//! by its number. A reader task takes the replies apart from the events. When the connection ends, every open request
//! fails with [`ProtoError::Closed`] and the event channel closes.

use serde::{Serialize, de::DeserializeOwned};
use shim_proto::{
    ProtoError,
    wire::{self, Decoder, Received},
};
use std::{
    collections::HashMap,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{mpsc, oneshot},
};

/// A reply with its descriptors.
type Reply<M> = (M, Vec<OwnedFd>);

/// What is shared between callers and the reader.
struct Shared<M> {
    socket: UnixStream,
    peer: &'static str,
    next: AtomicU64,
    /// Serialises frames; a frame may take several writes.
    writing: tokio::sync::Mutex<()>,
    /// Requests without a reply yet; none once the connection has ended.
    open: Mutex<Option<HashMap<u64, oneshot::Sender<Reply<M>>>>>,
}

/// A connection on which `M` are the replies. Dropping it closes the connection.
pub struct Client<M> {
    shared: Arc<Shared<M>>,
    reader: tokio::task::AbortHandle,
}

/// A request that was sent; await its reply with [`Pending::reply`].
#[must_use]
pub struct Pending<M> {
    reply: oneshot::Receiver<Reply<M>>,
    peer: &'static str,
    request: &'static str,
}

impl<M> Drop for Client<M> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl<M: DeserializeOwned + Send + 'static> Client<M> {
    /// Takes over a connected socket. Events (messages with sequence number 0) arrive on the channel, in order.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking or registered with the event loop.
    pub fn new(
        socket: std::os::unix::net::UnixStream,
        peer: &'static str,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<M>)> {
        socket.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            socket: UnixStream::from_std(socket)?,
            peer,
            next: AtomicU64::new(1),
            writing: tokio::sync::Mutex::new(()),
            open: Mutex::new(Some(HashMap::new())),
        });
        let (events, receiver) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read_all(shared.clone(), events)).abort_handle();
        Ok((Self { shared, reader }, receiver))
    }

    /// Sends `request`, called `name` in errors, and returns without waiting for its reply.
    pub async fn send<R: Serialize>(
        &self,
        name: &'static str,
        request: &R,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Pending<M>, ProtoError> {
        let seq = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let frame = wire::encode(seq, request, fds.len())?;
        let (sender, reply) = oneshot::channel();
        let writing = self.shared.writing.lock().await;
        self.shared
            .register(seq, sender)
            .ok_or(ProtoError::Closed { peer: self.shared.peer, expected: name })?;
        if let Err(source) = self.shared.write(&frame, fds).await {
            self.shared.forget(seq);
            return Err(ProtoError::Socket { operation: "send", peer: self.shared.peer, source });
        }
        drop(writing);
        Ok(Pending { reply, peer: self.shared.peer, request: name })
    }
}

impl<M> Pending<M> {
    pub async fn reply(self) -> Result<Reply<M>, ProtoError> {
        self.reply.await.map_err(|_| ProtoError::Closed { peer: self.peer, expected: self.request })
    }
}

impl<M> Shared<M> {
    fn open(&self) -> std::sync::MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Reply<M>>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, seq: u64, sender: oneshot::Sender<Reply<M>>) -> Option<()> {
        self.open().as_mut()?.insert(seq, sender);
        Some(())
    }

    fn forget(&self, seq: u64) -> Option<oneshot::Sender<Reply<M>>> {
        self.open().as_mut()?.remove(&seq)
    }

    async fn write(&self, frame: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut sent = 0;
        while sent < frame.len() {
            let fds = if sent == 0 { fds } else { &[] };
            sent += self
                .socket
                .async_io(Interest::WRITABLE, || wire::send(&self.socket, &frame[sent..], fds))
                .await?;
        }
        Ok(())
    }
}

/// The reader: until the peer closes or says something that makes no sense.
async fn read_all<M: DeserializeOwned>(shared: Arc<Shared<M>>, events: mpsc::UnboundedSender<M>) {
    let mut decoder = Decoder::new();
    loop {
        match decoder.message::<M>() {
            Ok(Some(Received { seq: 0, msg, .. })) => {
                if events.send(msg).is_err() {
                    tracing::debug!(peer = shared.peer, "an event came that nobody waits for");
                }
                continue;
            }
            Ok(Some(Received { seq, msg, fds })) => {
                // The one who asked may have been cancelled meanwhile.
                if let Some(waiting) = shared.forget(seq) {
                    drop(waiting.send((msg, fds)));
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(peer = shared.peer, %error, "the conversation broke");
                break;
            }
        }
        let read =
            shared.socket.async_io(Interest::READABLE, || wire::receive(&shared.socket, &mut decoder)).await;
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(peer = shared.peer, %error, "the connection broke");
                break;
            }
        }
    }
    *shared.open() = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use shim_proto::{Connection, FromHolder, ToHolder};
    use std::os::fd::AsFd;

    fn pair() -> (std::os::unix::net::UnixStream, Connection) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        (ours, Connection::new(theirs, "engine"))
    }

    #[tokio::test]
    async fn replies_find_their_requests_and_bring_descriptors() {
        let (ours, mut holder) = pair();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let request = holder.receive::<ToHolder>().unwrap().unwrap();
                match request.msg {
                    ToHolder::Take { key } => {
                        assert_eq!(key, "k");
                        let null = std::fs::File::open("/dev/null").unwrap();
                        holder.send(request.seq, &FromHolder::Taken, &[null.as_fd()]).unwrap();
                    }
                    _ => holder.send(request.seq, &FromHolder::Done, &[]).unwrap(),
                }
            }
        });
        let (client, _events) = Client::<FromHolder>::new(ours, "holder").unwrap();
        let first = client.send("Take", &ToHolder::Take { key: "k".into() }, &[]).await.unwrap();
        let second = client.send("Drop", &ToHolder::Drop { key: "k".into() }, &[]).await.unwrap();
        let (done, none) = second.reply().await.unwrap();
        assert!(matches!(done, FromHolder::Done) && none.is_empty());
        let (taken, fds) = first.reply().await.unwrap();
        assert!(matches!(taken, FromHolder::Taken));
        assert_eq!(fds.len(), 1);
        server.join().unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_goes_away_fails_what_is_open_and_ends_the_events() {
        let (ours, holder) = pair();
        let (client, mut events) = Client::<FromHolder>::new(ours, "holder").unwrap();
        let open = client.send("Ping", &ToHolder::Ping, &[]).await.unwrap();
        drop(holder);
        let error = open.reply().await.unwrap_err();
        assert_eq!(error.to_string(), "holder closed the connection while Ping was awaited");
        assert!(events.recv().await.is_none());
        assert!(client.send("Ping", &ToHolder::Ping, &[]).await.is_err());
    }
}
