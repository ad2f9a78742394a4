//! Appending.

use crate::rotation::{numbered, shift};
use crate::split::Splitter;
use crate::{Entry, Error, FileConfig, Format, Result, Stream, json_file, local};
use model::Timestamp;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The writing end of one container's log.
#[derive(Debug)]
pub struct Writer {
    config: FileConfig,
    path: PathBuf,
    file: File,
    size: u64,
    /// A JSON object, or empty.
    attrs: String,
    stdout: Splitter,
    stderr: Splitter,
    buffer: Vec<u8>,
    /// Where each entry of `buffer` ends: a file is rotated between entries, never within one.
    ends: Vec<usize>,
    /// A rotated file that waits for, or undergoes, compression.
    compressing: bool,
    to_compress: Option<PathBuf>,
}

impl Writer {
    /// Open for appending; a torn entry at the end, left by a killed writer, is cut off.
    /// `attrs` accompany each entry of `json-file`.
    pub fn open(config: FileConfig, path: &Path, attrs: &BTreeMap<String, String>) -> Result<Self> {
        let attrs = if attrs.is_empty() { String::new() } else { serde_json::json!(attrs).to_string() };
        // `local` has a directory of its own below the container's.
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        }
        let mut file = open_append(path)?;
        let size = repair(&mut file, config.format).map_err(Error::io("repair", path))?;
        Ok(Self {
            config,
            path: path.to_owned(),
            file,
            size,
            attrs,
            stdout: Splitter::default(),
            stderr: Splitter::default(),
            buffer: Vec::new(),
            ends: Vec::new(),
            compressing: false,
            to_compress: None,
        })
    }

    /// Log output that was read at `now`. A line without its end waits for more, or for [`Writer::finish`].
    pub fn write(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) -> Result<()> {
        let (config, attrs, buffer, entries) = (&self.config, &self.attrs, &mut self.buffer, &mut self.ends);
        let splitter = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        splitter.feed(bytes, now, |line, at, ends| {
            encode(config.format, buffer, stream, at, line, ends, attrs);
            entries.push(buffer.len());
        });
        self.flush()
    }

    /// The stream ended: log its last, unfinished line.
    pub fn finish(&mut self, stream: Stream, now: Timestamp) -> Result<()> {
        let (config, attrs, buffer, entries) = (&self.config, &self.attrs, &mut self.buffer, &mut self.ends);
        let splitter = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        splitter.finish(now, |line, at, ends| {
            encode(config.format, buffer, stream, at, line, ends, attrs);
            entries.push(buffer.len());
        });
        self.flush()
    }

    /// Log one entry that was cut elsewhere.
    pub fn append_entry(&mut self, entry: &Entry) -> Result<()> {
        let (line, ends) = entry.text();
        encode(self.config.format, &mut self.buffer, entry.stream, entry.at, line, ends, &self.attrs);
        self.ends.push(self.buffer.len());
        self.flush()
    }

    /// What was read from the stream and is not in the file yet, because its line has not ended.
    pub fn pending(&self, stream: Stream) -> &[u8] {
        if stream == Stream::Stdout { self.stdout.pending() } else { self.stderr.pending() }
    }

    /// A rotated file to pass to [`crate::compress`]; then call [`Writer::compressed`].
    pub fn take_compression(&mut self) -> Option<PathBuf> {
        self.to_compress.take()
    }

    /// The compression is over, well or not.
    pub fn compressed(&mut self) {
        self.compressing = false;
    }

    fn flush(&mut self) -> Result<()> {
        let (buffer, ends) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.ends));
        let outcome = self.append(&buffer, &ends);
        // The allocation is used again, unless one burst made it large.
        self.buffer = buffer;
        self.buffer.clear();
        self.buffer.shrink_to(64 << 10);
        outcome
    }

    /// Writes whole entries, as many at once as fit the file, rotating as Docker does: a file that has reached its size
    /// gets no further entry.
    fn append(&mut self, buffer: &[u8], ends: &[usize]) -> Result<()> {
        let (mut start, mut next) = (0, 0);
        while next < ends.len() {
            if self.config.max_size.is_some_and(|max| self.size >= max) && !self.compressing {
                self.rotate()?;
            }
            let room =
                self.config.max_size.filter(|_| !self.compressing).map_or(u64::MAX, |max| max - self.size);
            let fits = |end: usize| ((end - start) as u64) < room;
            // The entry that reaches the size is still written.
            let last = ends[next..].iter().position(|end| !fits(*end)).map_or(ends.len() - 1, |n| next + n);
            let outcome = self.file.write_all(&buffer[start..ends[last]]);
            self.size += (ends[last] - start) as u64;
            outcome.map_err(Error::io("write", &self.path))?;
            (start, next) = (ends[last], last + 1);
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        shift(&self.path, self.config.max_files)?;
        self.file = open_append(&self.path)?;
        self.size = 0;
        if self.config.compress {
            self.compressing = true;
            self.to_compress = Some(numbered(&self.path, 1));
        }
        Ok(())
    }
}

fn encode(
    format: Format,
    out: &mut Vec<u8>,
    stream: Stream,
    at: Timestamp,
    line: &[u8],
    ends: bool,
    attrs: &str,
) {
    match format {
        Format::JsonFile => json_file::encode(out, stream, at, line, ends, attrs),
        Format::Local => local::encode(out, stream, at, line, ends),
    }
}

fn open_append(path: &Path) -> Result<File> {
    // Docker's mode; readable by the owner alone.
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Cut off a torn last entry; returns the file's size after.
fn repair(file: &mut File, format: Format) -> std::io::Result<u64> {
    let size = file.metadata()?.len();
    let good = match format {
        Format::JsonFile => after_last_newline(file, size)?,
        Format::Local => after_last_record(file)?,
    };
    if good < size {
        file.set_len(good)?;
    }
    Ok(good)
}

fn after_last_newline(file: &mut File, size: u64) -> std::io::Result<u64> {
    let mut end = size;
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(end - start).expect("at most a block")];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn after_last_record(file: &mut File) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut good = 0;
    while let local::Step::Record(_, taken) = local::decode(&bytes[good..]) {
        good += taken;
    }
    Ok(good as u64)
}
