//! Recording a framing while the archive streams past.

use super::{
    INLINE_MAX, PATH_MAX,
    parse::{Header, Kind, Pax, until_nul},
};
use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
};

const BLOCK: u64 = 512;
/// Extended headers longer than this are passed over; the extractor refuses them anyway.
const EXTENSION_MAX: u64 = 1 << 20;

/// Takes an archive in pieces ([`Write`]) and writes its framing to `W`.
pub(crate) struct Recorder<W: Write> {
    out: zstd::Encoder<'static, W>,
    /// Bytes to record as they are, not yet written.
    raw: Vec<u8>,
    state: State,
    /// Of the entry that extended headers precede.
    pax: Pax,
    long_name: Option<Vec<u8>>,
    /// Hashes of paths of files. One that comes twice cannot be played back, unless both have their contents in here.
    seen: HashSet<u64>,
    hasher: RandomState,
    repeated: bool,
    /// A file with its contents in here came twice: what is in here of it may not be what is on the disk.
    inline_repeated: bool,
    /// Removed on drop.
    temporary: Option<Temporary>,
}

/// A file that disappears unless it was given its name.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // A leftover goes when the engine next starts.
            drop(fs::remove_file(path));
        }
    }
}

enum State {
    /// In a header, of which `raw`'s last bytes are the part so far.
    Header { have: usize },
    /// In an extended header whose data is collected.
    Extension { kind: Kind, data: Vec<u8>, left: u64, padding: u64 },
    /// In data that is recorded.
    Raw { left: u64 },
    /// In contents of a small file.
    Inline { left: u64, padding: u64 },
    /// In contents that are left out; the padding after them is recorded.
    Contents { left: u64, padding: u64 },
    /// After the end of the archive, or where it makes no sense: everything is recorded.
    Rest,
}

impl<W: Write> Recorder<W> {
    pub fn new(out: W) -> io::Result<Self> {
        Ok(Self {
            out: zstd::Encoder::new(out, 3)?,
            raw: Vec::with_capacity(64 << 10),
            state: State::Header { have: 0 },
            pax: Pax::default(),
            long_name: None,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            repeated: false,
            inline_repeated: false,
            temporary: None,
        })
    }

    pub(super) fn at(mut self, path: PathBuf) -> Self {
        self.temporary = Some(Temporary(Some(path)));
        self
    }

    fn number(&mut self, mut value: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(10);
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        self.out.write_all(&bytes)
    }

    fn flush_raw(&mut self) -> io::Result<()> {
        if !self.raw.is_empty() {
            self.out.write_all(b"R")?;
            self.number(self.raw.len() as u64)?;
            self.out.write_all(&self.raw)?;
            self.raw.clear();
        }
        Ok(())
    }

    /// Records `bytes` as they are.
    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.extend_from_slice(bytes);
        if self.raw.len() >= 64 << 10 && !matches!(self.state, State::Header { .. }) {
            self.flush_raw()?;
        }
        Ok(())
    }

    /// One step: consumes some of `bytes`, tells how many.
    fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Header { have } => {
                let take = bytes.len().min(512 - *have);
                *have += take;
                let whole = *have == 512;
                self.raw.extend_from_slice(&bytes[..take]);
                if whole {
                    self.header()?;
                }
                Ok(take)
            }
            State::Raw { left } => {
                let take = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= take as u64;
                if *left == 0 {
                    self.state = State::Header { have: 0 };
                }
                self.keep(&bytes[..take])?;
                Ok(take)
            }
            State::Inline { left, padding } => {
                let take = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= take as u64;
                if *left == 0 {
                    self.state = after_data(*padding);
                }
                self.out.write_all(&bytes[..take])?;
                Ok(take)
            }
            State::Contents { left, padding } => {
                let take = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= take as u64;
                if *left == 0 {
                    self.state = after_data(*padding);
                }
                Ok(take)
            }
            State::Extension { data, left, .. } => {
                let take = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                data.extend_from_slice(&bytes[..take]);
                *left -= take as u64;
                let whole = *left == 0;
                self.raw.extend_from_slice(&bytes[..take]);
                if whole {
                    self.extension();
                }
                Ok(take)
            }
            State::Rest => {
                self.keep(bytes)?;
                Ok(bytes.len())
            }
        }
    }

    /// A header is complete, at the end of `raw`.
    fn header(&mut self) -> io::Result<()> {
        let start = self.raw.len() - 512;
        let block: [u8; 512] = self.raw[start..].try_into().unwrap_or([0; 512]);
        let header = Header(&block);
        let (kind, size) = (header.kind(), header.size());
        let Some(size) = size.filter(|_| !header.is_zero()) else {
            self.state = State::Rest;
            return Ok(());
        };
        let padded = |size: u64| size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        self.state = match kind {
            Kind::Pax | Kind::LongName if (1..=EXTENSION_MAX).contains(&size) => {
                State::Extension { kind, data: Vec::new(), left: size, padding: padded(size) - size }
            }
            Kind::File => return self.file(&header),
            // Blocks of the sparse map may follow the header: where the next header is, is not ours to know.
            Kind::Sparse => State::Rest,
            // Links and directories may carry a size and have no data (POSIX pax, "typeflag").
            Kind::Other if matches!(block[156], b'1'..=b'6') => State::Header { have: 0 },
            _ => after_data(padded(size)),
        };
        if !matches!(kind, Kind::Pax | Kind::LongName) && block[156] != b'K' && block[156] != b'g' {
            (self.pax, self.long_name) = (Pax::default(), None);
        }
        Ok(())
    }

    fn file(&mut self, header: &Header<'_>) -> io::Result<()> {
        let pax = std::mem::take(&mut self.pax);
        let long_name = self.long_name.take();
        let size = pax.size.or(header.size()).unwrap_or_default();
        let Some(padded) = size.checked_next_multiple_of(BLOCK) else {
            self.state = State::Rest;
            return Ok(());
        };
        let path = pax.path.or(long_name).unwrap_or_else(|| header.path());
        if size == 0 || pax.sparse || path.len() > PATH_MAX {
            self.state = after_data(padded);
            return Ok(());
        }
        let (inline, padding) = (size < INLINE_MAX, padded - size);
        let again = !self.seen.insert(self.hasher.hash_one(&path));
        self.inline_repeated |= again && inline;
        self.repeated |= again && !inline;
        self.flush_raw()?;
        self.out.write_all(if inline { b"I" } else { b"F" })?;
        self.number(size)?;
        self.number(path.len() as u64)?;
        self.out.write_all(&path)?;
        self.state = if inline {
            State::Inline { left: size, padding }
        } else {
            State::Contents { left: size, padding }
        };
        Ok(())
    }

    /// An extended header's data is complete.
    fn extension(&mut self) {
        if let State::Extension { kind, data, padding, .. } = std::mem::replace(&mut self.state, State::Rest)
        {
            match kind {
                Kind::Pax => self.pax = Pax::parse(&data),
                _ => self.long_name = Some(until_nul(&data).to_vec()),
            }
            self.state = after_data(padding);
        }
    }

    /// Ends the framing and gives back what it was written to.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.flush_raw()?;
        if self.inline_repeated {
            self.out.write_all(b"T")?;
        }
        self.out.finish()
    }
}

impl Recorder<fs::File> {
    /// Ends the framing and gives it its name, unless it is known not to give its archive again.
    pub(super) fn finish(mut self, name: &Path) -> io::Result<()> {
        let temporary = self.temporary.take().filter(|_| !self.repeated);
        self.into_inner()?;
        if let Some(mut temporary) = temporary
            && let Some(path) = &temporary.0
        {
            fs::rename(path, name)?;
            temporary.0 = None;
        }
        Ok(())
    }
}

fn after_data(bytes: u64) -> State {
    if bytes == 0 { State::Header { have: 0 } } else { State::Raw { left: bytes } }
}

impl<W: Write> Write for Recorder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            done += self.step(&bytes[done..])?;
        }
        Ok(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
