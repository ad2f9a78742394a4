//! From a blob to the bytes of its archive, digesting both on the way.
//!
//! Theory of operation: two threads. The *decoder* reads the blob, digests it, decompresses it and sends chunks; the
//! *consumer* (the caller's thread) digests each chunk and reads it as a [`BufRead`]. A few chunks travel between them
//! and back, so memory is fixed, and inflating overlaps with making files. When the consumer gives up, the decoder
//! ends at its next chunk; when the decoder fails, its error is what is reported, because all that the consumer sees
//! is an archive cut short.

use crate::{
    Error, Limits, Result,
    blob::Compression,
    decompress::{self, Decompressor},
};
use model::Digest;
use ring::digest::{Context, SHA256};
use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

const CHUNK: usize = 256 * 1024;
const CHUNKS_IN_FLIGHT: usize = 4;

/// What was read and what came of it.
pub struct Facts {
    pub blob_digest: Digest,
    pub blob_size: u64,
    pub compression: Compression,
    pub diff_id: Digest,
    pub archive_size: u64,
}

/// Runs `consume` on the decompressed bytes of `blob`. It must read to the end for the digests to cover everything.
pub fn decode<T>(
    blob: impl Read + Send,
    limits: &Limits,
    consume: impl FnOnce(&mut Chunks) -> Result<T>,
) -> Result<(T, Facts)> {
    std::thread::scope(|scope| {
        let (full_in, full_out) = sync_channel(CHUNKS_IN_FLIGHT);
        let (used_in, used_out) = sync_channel(CHUNKS_IN_FLIGHT + 2);
        let limits = limits.clone();
        let decoder = std::thread::Builder::new()
            .name("decode".into())
            .spawn_scoped(scope, move || Decoder { full: full_in, used: used_out, limits }.run(blob))
            .map_err(Error::Read)?;
        let mut chunks = Chunks::new(full_out, used_in);
        let consumed = consume(&mut chunks);
        let (diff_id, archive_size) = chunks.finish();
        let decoded = decoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (decoded, consumed) {
            (Ok(Some((blob_digest, blob_size, compression))), Ok(value)) => {
                let diff_id = diff_id.unwrap_or_else(|| blob_digest.clone());
                Ok((value, Facts { blob_digest, blob_size, compression, diff_id, archive_size }))
            }
            (Err(e), _) | (_, Err(e)) => Err(e),
            (Ok(None), Ok(_)) => Err(Error::Read(io::Error::other("the archive was not read to its end"))),
        }
    })
}

struct Decoder {
    full: SyncSender<Chunk>,
    used: Receiver<Vec<u8>>,
    limits: Limits,
}

struct Chunk {
    bytes: Vec<u8>,
    /// Whether the archive has a digest of its own to be computed, other than the blob's.
    compressed: bool,
}

impl Decoder {
    /// Digest, size and compression of the blob, or none when the consumer wanted no more.
    fn run(self, blob: impl Read) -> Result<Option<(Digest, u64, Compression)>> {
        let mut source = BufReader::with_capacity(CHUNK / 2, Hashing::new(blob));
        let compression = decompress::detect(source.fill_buf().map_err(failure)?)?;
        let mut archive = Decompressor::new(source, compression).map_err(Error::Decompress)?;
        if !self.pump(&mut archive, compression != Compression::None)? {
            return Ok(None);
        }
        let Hashing { context, count, .. } = archive.into_source().into_inner();
        Ok(Some((digest(context), count, compression)))
    }

    /// Sends what `from` gives; false when nobody listens any more.
    fn pump(&self, from: &mut Decompressor<BufReader<Hashing<impl Read>>>, compressed: bool) -> Result<bool> {
        let mut produced = 0u64;
        loop {
            let mut bytes = self.used.try_recv().unwrap_or_default();
            bytes.resize(CHUNK, 0);
            let length = fill(from, &mut bytes).map_err(failure)?;
            bytes.truncate(length);
            produced += length as u64;
            let bound = from
                .source()
                .get_ref()
                .count
                .saturating_mul(self.limits.ratio)
                .max(self.limits.ratio_free_bytes);
            if produced > bound {
                let limit = self.limits.ratio;
                return Err(Error::Limit {
                    what: "archive bytes for each blob byte",
                    limit,
                    path: "".into(),
                });
            }
            if length == 0 {
                return Ok(true);
            }
            if self.full.send(Chunk { bytes, compressed }).is_err() {
                return Ok(false);
            }
        }
    }
}

/// Reads until `buffer` is full or the source ends.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// A failure of the blob's source, on its way through a decompressor.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct SourceFailure(io::Error);

fn failure(error: io::Error) -> Error {
    match error.get_ref().is_some_and(|inner| inner.is::<SourceFailure>()) {
        false => Error::Decompress(error),
        true => match error.into_inner().map(|inner| inner.downcast::<SourceFailure>()) {
            Some(Ok(source)) => Error::Read(source.0),
            _ => Error::Read(io::ErrorKind::Other.into()),
        },
    }
}

/// Digests what is read through it.
struct Hashing<R> {
    inner: R,
    context: Context,
    count: u64,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256), count: 0 }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => io::Error::other(SourceFailure(e)),
        })?;
        self.context.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

fn digest(context: Context) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Digest::from_sha256(&bytes)
}

/// The decompressed bytes, as the consumer reads them.
pub struct Chunks {
    full: Receiver<Chunk>,
    used: SyncSender<Vec<u8>>,
    present: Vec<u8>,
    position: usize,
    context: Option<Context>,
    count: u64,
}

impl Chunks {
    fn new(full: Receiver<Chunk>, used: SyncSender<Vec<u8>>) -> Self {
        Self { full, used, present: Vec::new(), position: 0, context: None, count: 0 }
    }

    /// Digest (none when it is the blob's) and size of what was read. Tells the decoder to stop.
    fn finish(self) -> (Option<Digest>, u64) {
        (self.context.map(digest), self.count)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.present.len() {
            // The decoder allocates another when none comes back in time.
            drop(self.used.try_send(std::mem::take(&mut self.present)));
            self.position = 0;
            if let Ok(chunk) = self.full.recv() {
                if chunk.compressed {
                    self.context.get_or_insert_with(|| Context::new(&SHA256)).update(&chunk.bytes);
                }
                self.count += chunk.bytes.len() as u64;
                self.present = chunk.bytes;
            }
        }
        Ok(&self.present[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
