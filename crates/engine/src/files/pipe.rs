//! Archives between a thread that reads or writes files and a client.

use bytes::{Bytes, BytesMut};
use std::io::{self, Read, Write};
use tokio::sync::mpsc;

/// An archive in chunks, as one side makes it and the other takes it. Dropping the receiver stops the maker.
pub type ArchiveStream = mpsc::Receiver<io::Result<Bytes>>;

/// How many chunks may wait for a slow reader.
const BACKLOG: usize = 8;
const CHUNK: usize = 64 * 1024;

/// The writing end, for a thread that may block.
pub(super) struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

pub(super) fn pipe() -> (Sink, ArchiveStream) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (Sink { sender, buffer: BytesMut::with_capacity(CHUNK) }, receiver)
}

impl Sink {
    fn send(&self, chunk: io::Result<Bytes>) -> io::Result<()> {
        self.sender.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Ends the stream as complete, or so that the reader sees that it is not.
    pub(super) fn finish(mut self, outcome: Result<(), impl std::error::Error + Send + Sync + 'static>) {
        let end = match outcome {
            Ok(()) => self.flush(),
            Err(error) => {
                tracing::debug!(%error, "an archive was cut short");
                self.send(Err(io::Error::other(error)))
            }
        };
        if end.is_err() {
            tracing::debug!("nobody reads the archive any more");
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK)).freeze();
        self.send(Ok(chunk))
    }
}

/// The reading end, for a thread that may block.
pub(super) struct Source {
    receiver: ArchiveStream,
    chunk: Bytes,
}

impl Source {
    pub(super) fn new(receiver: ArchiveStream) -> Self {
        Self { receiver, chunk: Bytes::new() }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (mut sink, stream) = pipe();
        let written: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        let copy = written.clone();
        let writer = std::thread::spawn(move || {
            let outcome = sink.write_all(&copy);
            sink.finish(outcome);
        });
        let mut read = Vec::new();
        Source::new(stream).read_to_end(&mut read).unwrap();
        writer.join().unwrap();
        assert_eq!(read, written);
    }

    #[test]
    fn a_failure_is_seen_by_the_reader() {
        let (mut sink, stream) = pipe();
        sink.write_all(b"half").unwrap();
        sink.finish(Err(io::Error::other("disk on fire")));
        let error = Source::new(stream).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "disk on fire");
    }

    #[test]
    fn a_reader_that_left_stops_the_writer() {
        let (mut sink, stream) = pipe();
        drop(stream);
        assert_eq!(sink.write_all(&[0; CHUNK]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
