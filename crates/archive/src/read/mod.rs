//! Reading tar streams that nobody vouches for.
//!
//! Theory of operation: [`Reader`] takes bytes from a [`BufRead`] and yields one [`Entry`] after the other; between two
//! of them the caller reads the entry's payload or leaves it to be skipped. All that says what an entry is (header,
//! pax records, GNU long names, sparse maps) is gathered before the entry is yielded, and there is one place, here,
//! that decides how many bytes belong to it: the pax `size` when there is one, else the header's. Readers that took
//! one of the two for the payload and the other for the way to the next header could be shown different archives than
//! everybody else (CVE-2025-62518).
//!
//! Where known readers (Go's archive/tar, GNU tar, libarchive) disagree about what bytes mean, the archive is refused;
//! [`crate::error::Malformed`] lists the cases.

mod entry;
mod header;
mod pax;
mod sparse;

pub use entry::{Entry, Kind};
pub use sparse::Segment;

use crate::{Error, Limits, Result, error::Malformed};
use entry::Extensions;
use header::{BLOCK, Header};
use std::io::{self, BufRead};

/// Yields the entries of one archive.
pub struct Reader<R> {
    source: R,
    limits: Limits,
    /// Bytes taken from the source.
    offset: u64,
    /// Payload of the present entry that was not taken yet, and the zeros that fill its last block.
    payload: u64,
    padding: u64,
    entries: u64,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    pub fn new(source: R, limits: &Limits) -> Self {
        Self { source, limits: limits.clone(), offset: 0, payload: 0, padding: 0, entries: 0, ended: false }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the present entry's payload that were not taken yet.
    pub fn remaining(&self) -> u64 {
        self.payload
    }

    /// Skips what is left of the present entry and yields the next one, or none at the end of the archive.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Malformed`], [`Error::Limit`]; the reader is then of no more use.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        self.skip(self.payload, "an entry's data")?;
        self.payload = 0;
        let mut extensions = Extensions::default();
        loop {
            self.skip(self.padding, "an entry's last block")?;
            self.padding = 0;
            let Some(header) = self.header()? else {
                self.ended = true;
                return match extensions.is_empty() {
                    true => Ok(None),
                    false => Err(self.malformed(Malformed::DanglingExtension)),
                };
            };
            if !self.extension(&header, &mut extensions)? {
                return self.finish(&header, extensions).map(Some);
            }
        }
    }

    /// The next bytes of the present entry's payload, as many as are at hand; empty at its end. [`Self::consume`] says
    /// how many of them were used.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Malformed`] when the archive ends early.
    pub fn payload(&mut self) -> Result<&[u8]> {
        if self.payload == 0 {
            return Ok(&[]);
        }
        let offset = self.offset;
        let bytes = self.source.fill_buf().map_err(Error::Read)?;
        if bytes.is_empty() {
            return Err(Error::Malformed { what: Malformed::Truncated("an entry's data"), offset });
        }
        let usable = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
        Ok(&bytes[..usable])
    }

    /// Marks `count` bytes of [`Self::payload`] as used.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count as u64 <= self.payload);
        self.source.consume(count);
        self.offset += count as u64;
        self.payload -= count as u64;
    }

    /// Reads the rest of the source, which belongs to the digest though not to any entry (GNU tar fills the last
    /// record of 10,240 bytes).
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn drain(&mut self) -> Result<()> {
        loop {
            let count = self.source.fill_buf().map_err(Error::Read)?.len();
            if count == 0 {
                return Ok(());
            }
            self.source.consume(count);
            self.offset += count as u64;
        }
    }

    /// Takes the header in when it extends the next entry rather than being one.
    fn extension(&mut self, header: &Header, extensions: &mut Extensions) -> Result<bool> {
        let slot_taken = match header.type_flag() {
            b'x' | b'X' => {
                let records = self.extension_data(header, "pax records")?;
                let parsed = pax::parse(&records).map_err(|what| self.malformed(what))?;
                extensions.pax.replace(parsed).is_some()
            }
            b'g' => {
                let records = self.extension_data(header, "pax records")?;
                pax::check_global(&records).map_err(|what| self.malformed(what))?;
                false
            }
            b'L' => {
                let name = self.extension_data(header, "a GNU long name")?;
                extensions.long_path.replace(until_nul(&name)).is_some()
            }
            b'K' => {
                let name = self.extension_data(header, "a GNU long link")?;
                extensions.long_link.replace(until_nul(&name)).is_some()
            }
            // A volume label (GNU tar --label) names the tape.
            b'V' => {
                self.extension_data(header, "a volume label")?;
                false
            }
            _ => return Ok(false),
        };
        if slot_taken {
            return Err(self.malformed(Malformed::RepeatedExtension));
        }
        Ok(true)
    }

    fn finish(&mut self, header: &Header, extensions: Extensions) -> Result<Entry> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.limit("entries", self.limits.entries, &[]));
        }
        let mut entry = Entry::new(header, extensions).map_err(|what| self.malformed(what))?;
        self.padding = padding(entry.stored);
        self.payload = entry.stored;
        self.sparse_map(header, &mut entry)?;
        for path in [&entry.path, &entry.link] {
            if path.len() > self.limits.path_bytes {
                return Err(self.limit("bytes in a path", self.limits.path_bytes as u64, &path[..100]));
            }
        }
        if entry.size > self.limits.file_bytes {
            return Err(self.limit("bytes in a file", self.limits.file_bytes, &entry.path));
        }
        Ok(entry)
    }

    /// Completes the map of a sparse file from wherever its format keeps it.
    fn sparse_map(&mut self, header: &Header, entry: &mut Entry) -> Result<()> {
        let most = self.limits.sparse_segments;
        let segments = match entry.sparse.take() {
            None => return Ok(()),
            Some(sparse::Source::Known(segments)) => segments,
            Some(sparse::Source::GnuHeader) => {
                let mut map = sparse::OldGnu::new(header);
                while map.continues() {
                    let mut block = [0; BLOCK];
                    self.read_exact(&mut block, "a sparse map")?;
                    map.extend(&block).map_err(|what| self.malformed(what))?;
                    if map.len() > most {
                        return Err(self.limit("segments in a sparse file", most as u64, &entry.path));
                    }
                }
                map.finish().map_err(|what| self.malformed(what))?
            }
            Some(sparse::Source::Data) => {
                let mut map = sparse::DataMap::new(most);
                while !map.complete() {
                    let mut block = [0; BLOCK];
                    if self.payload < BLOCK as u64 {
                        return Err(self.malformed(Malformed::Truncated("a sparse map")));
                    }
                    self.read_exact(&mut block, "a sparse map")?;
                    self.payload -= BLOCK as u64;
                    map.extend(&block).map_err(|what| self.malformed(what))?;
                }
                map.finish()
            }
        };
        if segments.len() > most {
            return Err(self.limit("segments in a sparse file", most as u64, &entry.path));
        }
        sparse::check(&segments, entry.size, self.payload).map_err(|what| self.malformed(what))?;
        entry.segments = Some(segments);
        Ok(())
    }

    /// The next header, or none at the end: a block of zeros, or the end of the source where a header would start.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK];
        if self.source.fill_buf().map_err(Error::Read)?.is_empty() {
            return Ok(None);
        }
        self.read_exact(&mut block, "a header")?;
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        Header::new(block).map(Some).map_err(|what| self.malformed(what))
    }

    fn extension_data(&mut self, header: &Header, what: &'static str) -> Result<Vec<u8>> {
        let size = header.size().map_err(|what| self.malformed(what))?;
        if size > self.limits.extension_bytes {
            return Err(self.limit("bytes in an extension header", self.limits.extension_bytes, &[]));
        }
        let mut data = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.read_exact(&mut data, what)?;
        self.padding = padding(size);
        Ok(data)
    }

    fn read_exact(&mut self, buffer: &mut [u8], what: &'static str) -> Result<()> {
        self.source.read_exact(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.malformed(Malformed::Truncated(what)),
            _ => Error::Read(e),
        })?;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    fn skip(&mut self, mut count: u64, what: &'static str) -> Result<()> {
        while count > 0 {
            let at_hand = self.source.fill_buf().map_err(Error::Read)?.len();
            if at_hand == 0 {
                return Err(self.malformed(Malformed::Truncated(what)));
            }
            let step = usize::try_from(count).unwrap_or(usize::MAX).min(at_hand);
            self.source.consume(step);
            self.offset += step as u64;
            count -= step as u64;
        }
        Ok(())
    }

    fn malformed(&self, what: Malformed) -> Error {
        Error::Malformed { what, offset: self.offset }
    }

    fn limit(&self, what: &'static str, limit: u64, path: &[u8]) -> Error {
        Error::Limit { what, limit, path: crate::path::to_path(path) }
    }
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// GNU long names are stored with their terminator.
fn until_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests;
