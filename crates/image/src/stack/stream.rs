//! The channel between a fetch, which is async, and an unpacking thread, which is not.

use bytes::Bytes;
use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;

/// Pieces in flight; hyper gives pieces of up to some tens of KiB, so this is a few MiB at the most.
const PIECES: usize = 128;

enum Piece {
    Data(Bytes),
    /// Without it, the end of the channel is the death of the fetch.
    End,
}

/// The fetch's end.
pub(super) struct Sender(mpsc::Sender<Piece>);

/// The thread's end.
pub(super) struct Receiver {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
    consumed: Arc<AtomicU64>,
}

/// `consumed` counts what the thread has taken.
pub(super) fn channel(consumed: Arc<AtomicU64>) -> (Sender, Receiver) {
    let (sender, pieces) = mpsc::channel(PIECES);
    (Sender(sender), Receiver { pieces, current: Bytes::new(), ended: false, consumed })
}

/// The thread gave up; its own result says why.
#[derive(Debug)]
pub(super) struct Closed;

impl Sender {
    pub async fn data(&self, bytes: Bytes) -> Result<(), Closed> {
        self.0.send(Piece::Data(bytes)).await.map_err(|_| Closed)
    }

    pub async fn end(self) -> Result<(), Closed> {
        self.0.send(Piece::End).await.map_err(|_| Closed)
    }
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the transfer was interrupted",
                    ));
                }
            }
        }
        let take = buffer.len().min(self.current.len());
        buffer[..take].copy_from_slice(&self.current.split_to(take));
        self.consumed.fetch_add(take as u64, Ordering::Relaxed);
        Ok(take)
    }
}
