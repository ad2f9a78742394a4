//! A blob on its way from a thread that writes it to the request that sends it.

use crate::{Error, digester::Digester};
use bytes::Bytes;
use model::Digest;
use reqwest::Body;
use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

const PIECE: usize = 128 << 10;
/// Pieces in flight.
const PIECES: usize = 8;

/// What a blob turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub digest: Digest,
    pub size: u64,
}

/// The writing end. What the registry has already is digested and not sent again.
pub(super) struct Feeder {
    to: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    skip: u64,
    digest: Digester,
    whole: oneshot::Sender<Sent>,
    failure: Failure,
}

/// Why the writer gave up, for the one who sees only that the request failed.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    pub fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// The request's end.
pub(super) struct Feed {
    pub body: Body,
    /// Bytes that the connection has taken.
    pub taken: Arc<AtomicU64>,
    /// Comes when the last byte has been written.
    pub whole: oneshot::Receiver<Sent>,
    pub failure: Failure,
}

/// A feed that leaves out the first `skip` bytes.
pub(super) fn feed(skip: u64) -> (Feeder, Feed) {
    let (to, pieces) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let (whole, told) = oneshot::channel();
    let (failure, taken) = (Failure::default(), Arc::new(AtomicU64::new(0)));
    let counter = taken.clone();
    let stream = futures_util::stream::unfold(pieces, move |mut pieces| {
        let counter = counter.clone();
        async move {
            let piece = pieces.recv().await?;
            if let Ok(bytes) = &piece {
                counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Some((piece, pieces))
        }
    });
    let feeder = Feeder {
        to,
        buffer: Vec::with_capacity(PIECE),
        skip,
        digest: Digester::new(),
        whole,
        failure: failure.clone(),
    };
    (feeder, Feed { body: Body::wrap_stream(stream), taken, whole: told, failure })
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the upload was broken off")
}

impl Feeder {
    /// Counts bytes, and gives those that are to be sent.
    fn account<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.digest.update(bytes);
        let known = self.skip.min(bytes.len() as u64);
        self.skip -= known;
        &bytes[known as usize..]
    }

    /// As [`Write::write`], from async code.
    pub async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        let rest = self.account(&bytes).len();
        let rest = bytes.slice(bytes.len() - rest..);
        if rest.is_empty() {
            return Ok(());
        }
        self.to.send(Ok(rest)).await.map_err(|_| gone())
    }

    fn flush_piece(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.to.blocking_send(Ok(piece.into())).map_err(|_| gone())
    }

    /// The last piece of a thread, which may block.
    pub fn end_blocking(mut self) -> io::Result<()> {
        self.flush_piece()?;
        self.end();
        Ok(())
    }

    /// Everything has been written. Whoever waits for it may be gone.
    pub fn end(self) {
        let size = self.digest.bytes();
        self.whole.send(Sent { digest: self.digest.finish(), size }).unwrap_or_default();
    }

    /// What breaks off the request when told the failure.
    pub fn breaker(&self) -> Breaker {
        Breaker { to: self.to.clone(), failure: self.failure.clone() }
    }
}

/// Ends a request that cannot be completed.
pub(super) struct Breaker {
    to: mpsc::Sender<io::Result<Bytes>>,
    failure: Failure,
}

impl Breaker {
    /// For a thread, which may block.
    pub fn fail_blocking(self, error: Error) {
        self.failure.set(error);
        // Without the request there is nobody to tell.
        drop(self.to.blocking_send(Err(gone())));
    }

    pub async fn fail(self, error: Error) {
        self.failure.set(error);
        drop(self.to.send(Err(gone())).await);
    }
}

impl Write for Feeder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = self.account(bytes);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PIECE - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == PIECE {
                self.flush_piece()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
