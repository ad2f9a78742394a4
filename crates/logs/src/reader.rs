//! Reading across rotations, beside the writer.

use crate::rotation::files;
use crate::tail::{self, Skip, Source};
use crate::{Entry, Error, FileConfig, Format, Result, Stream, json_file, local};
use model::Timestamp;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How much of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tail {
    #[default]
    All,
    /// The last so many entries, counted before the other filters, as Docker does.
    Last(u64),
}

/// Which entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    pub tail: Tail,
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Not after this; reading ends there.
    pub until: Option<Timestamp>,
}

/// The reading end of a log.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    path: PathBuf,
    options: ReadOptions,
    /// Files still to open, oldest first.
    ahead: VecDeque<(PathBuf, bool)>,
    current: Option<Current>,
    /// The last entry's time and how many entries had it: the place to resume when the file was replaced meanwhile.
    last: Option<(Timestamp, u64)>,
    resume: Option<(Timestamp, u64)>,
    ended: bool,
}

#[derive(Debug)]
struct Current {
    entries: Entries,
    path: PathBuf,
    /// Device and inode, of plain files.
    inode: Option<(u64, u64)>,
}

impl Reader {
    /// Open the log at `path`. A log that does not exist yet is empty.
    pub fn open(config: &FileConfig, path: &Path, options: ReadOptions) -> Result<Self> {
        let wanted = match options.tail {
            Tail::All => None,
            Tail::Last(n) => Some(n),
        };
        let begin = tail::begin(config.format, path, wanted)?;
        let mut reader = Self {
            format: config.format,
            path: path.to_owned(),
            options,
            ahead: begin.files.into(),
            current: None,
            last: None,
            resume: None,
            ended: false,
        };
        reader.skip(begin.skip)?;
        Ok(reader)
    }

    /// The next entry, or none at the end of what is written so far. After `until` it is none for ever.
    pub fn entry(&mut self) -> Result<Option<Entry>> {
        while let Some(entry) = self.raw()? {
            if self.options.until.is_some_and(|until| entry.at > until) {
                self.ended = true;
                return Ok(None);
            }
            if self.options.since.is_none_or(|since| entry.at >= since) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Whether `until` has been passed, so that following is pointless.
    pub fn is_past_end(&self) -> bool {
        self.ended
    }

    fn raw(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some(current) = &mut self.current else { return Ok(None) };
            match current.entries.next().map_err(Error::io("read", &current.path))? {
                Some(entry) if self.is_repeat(&entry) => {}
                Some(entry) => {
                    let seen = self.last.filter(|(at, _)| *at == entry.at).map_or(0, |(_, n)| n);
                    self.last = Some((entry.at, seen + 1));
                    return Ok(Some(entry));
                }
                None if !self.advance()? => return Ok(None),
                None => {}
            }
        }
    }

    /// After losing its place the reader starts over and passes over what it gave out already.
    fn is_repeat(&mut self, entry: &Entry) -> bool {
        match &mut self.resume {
            Some((at, _)) if entry.at < *at => true,
            Some((at, left)) if entry.at == *at && *left > 0 => {
                *left -= 1;
                true
            }
            _ => {
                self.resume = None;
                false
            }
        }
    }

    /// The current file is at its end: go on to a newer one, if there is one.
    fn advance(&mut self) -> Result<bool> {
        if !self.ahead.is_empty() {
            self.current = None;
            return Ok(true);
        }
        let Some(current) = &mut self.current else { return Ok(false) };
        let newest = fs::metadata(&self.path).ok().map(|m| (m.dev(), m.ino()));
        if newest.is_none() || newest == current.inode {
            return Ok(false);
        }
        // Rotated. Whatever the writer still put into the old file came before the rename that was just seen.
        if current.entries.has_more().map_err(Error::io("read", &current.path))? {
            return Ok(true);
        }
        let listed = files(&self.path);
        let inode = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
        match listed.iter().position(|(path, gzipped)| !gzipped && inode(path) == current.inode) {
            Some(place) => self.ahead = listed.into_iter().take(place).rev().collect(),
            None => {
                self.ahead = listed.into_iter().rev().collect();
                self.resume = self.last;
            }
        }
        self.current = None;
        Ok(!self.ahead.is_empty())
    }

    fn open_next(&mut self) -> Result<bool> {
        loop {
            let Some((path, gzipped)) = self.ahead.pop_front() else {
                // The log did not exist when it was opened.
                if !self.path.exists() {
                    return Ok(false);
                }
                self.ahead.push_back((self.path.clone(), false));
                continue;
            };
            let Some(source) = tail::open(&path, gzipped)? else {
                if self.ahead.is_empty() {
                    return Ok(false);
                }
                continue;
            };
            let inode = match &source {
                Source::Plain(file) => file.metadata().ok().map(|m| (m.dev(), m.ino())),
                Source::Gzipped(_) => None,
            };
            self.current = Some(Current { entries: Entries::new(self.format, source), path, inode });
            return Ok(true);
        }
    }

    fn skip(&mut self, skip: Skip) -> Result<()> {
        match skip {
            Skip::Bytes(0) | Skip::Entries(0) => {}
            Skip::Bytes(bytes) => {
                if self.open_next()?
                    && let Some(Current {
                        entries: Entries { source: Source::Plain(file), .. }, path, ..
                    }) = &mut self.current
                {
                    file.seek(SeekFrom::Start(bytes)).map_err(Error::io("seek in", path))?;
                }
            }
            Skip::Entries(entries) => {
                for _ in 0..entries {
                    self.raw()?;
                }
            }
        }
        Ok(())
    }
}

/// The entries of one file. Damaged ones are passed over, a torn last one waits for its rest.
#[derive(Debug)]
pub(crate) struct Entries {
    format: Format,
    source: Source,
    buffer: Vec<u8>,
    start: usize,
}

impl Entries {
    pub(crate) fn new(format: Format, source: Source) -> Self {
        Self { format, source, buffer: Vec::new(), start: 0 }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.take() {
                return Ok(Some(entry));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Whether the file has grown since its end was seen.
    fn has_more(&mut self) -> io::Result<bool> {
        Ok(self.fill()? > 0)
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let have = self.buffer.len();
        self.buffer.resize(have + (32 << 10), 0);
        let outcome = self.source.read(&mut self.buffer[have..]);
        let n = match outcome {
            // A compressed file that ends early: what came before still counts.
            Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => Ok(0),
            other => other,
        };
        self.buffer.truncate(have + n.as_ref().copied().unwrap_or(0));
        n
    }

    fn take(&mut self) -> Option<Entry> {
        while let rest = &self.buffer[self.start..]
            && !rest.is_empty()
        {
            match self.format {
                Format::Local => match local::decode(rest) {
                    local::Step::Record(entry, taken) => {
                        self.start += taken;
                        return Some(entry);
                    }
                    local::Step::Incomplete => return None,
                    local::Step::Damaged => self.start += 1,
                },
                Format::JsonFile => {
                    let end = rest.iter().position(|b| *b == b'\n')?;
                    let entry = json_file::decode(&rest[..end]);
                    self.start += end + 1;
                    if entry.is_some() {
                        return entry;
                    }
                }
            }
        }
        None
    }
}

impl Entry {
    /// Whether the caller wants this entry's stream.
    pub fn is_from(&self, stdout: bool, stderr: bool) -> bool {
        match self.stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }
}
