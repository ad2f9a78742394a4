//! Where the last N entries begin.

use crate::rotation::files;
use crate::{Error, Format, Result, local};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file of a log, opened.
#[derive(Debug)]
pub(crate) enum Source {
    Plain(File),
    Gzipped(Box<GzDecoder<BufReader<File>>>),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzipped(decoder) => decoder.read(buffer),
        }
    }
}

/// Open one file of a log; none when it went away since it was listed.
pub(crate) fn open(path: &Path, gzipped: bool) -> Result<Option<Source>> {
    match File::open(path) {
        Ok(file) if gzipped => Ok(Some(Source::Gzipped(Box::new(GzDecoder::new(BufReader::new(file)))))),
        Ok(file) => Ok(Some(Source::Plain(file))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("open", path)(e)),
    }
}

/// Where to begin: files still to read, oldest first, and how many entries of the first to skip.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) files: Vec<(PathBuf, bool)>,
    pub(crate) skip: Skip,
}

/// What to pass over in the first file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    Bytes(u64),
    Entries(u64),
}

/// The place of the last `wanted` entries; all of the log for none.
pub(crate) fn begin(format: Format, path: &Path, wanted: Option<u64>) -> Result<Begin> {
    let mut newest_first = files(path);
    let Some(mut wanted) = wanted else {
        newest_first.reverse();
        return Ok(Begin { files: newest_first, skip: Skip::Bytes(0) });
    };
    for i in 0..newest_first.len() {
        let (file, gzipped) = &newest_first[i];
        let Some(source) = open(file, *gzipped)? else { continue };
        let place = match source {
            Source::Plain(mut f) => last(format, &mut f, wanted).map_err(Error::io("read", file))?,
            Source::Gzipped(_) => {
                let total = count(format, file, *gzipped)?;
                if total >= wanted { Ok(Skip::Entries(total - wanted)) } else { Err(total) }
            }
        };
        match place {
            Ok(skip) => {
                let mut files: Vec<_> = newest_first.drain(..=i).collect();
                files.reverse();
                return Ok(Begin { files, skip });
            }
            Err(found) => wanted -= found,
        }
    }
    newest_first.reverse();
    Ok(Begin { files: newest_first, skip: Skip::Bytes(0) })
}

/// The byte at which the last `wanted` entries of a plain file begin, or how many it has when that is fewer.
fn last(format: Format, file: &mut File, wanted: u64) -> io::Result<std::result::Result<Skip, u64>> {
    let size = file.metadata()?.len();
    if wanted == 0 {
        return Ok(Ok(Skip::Bytes(size)));
    }
    match format {
        Format::Local => last_records(file, size, wanted),
        Format::JsonFile => last_lines(file, size, wanted),
    }
}

fn last_lines(file: &mut File, size: u64, wanted: u64) -> io::Result<std::result::Result<Skip, u64>> {
    let mut block = vec![0; 64 << 10];
    let (mut end, mut seen) = (size, 0u64);
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(end - start).expect("at most a block")];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        for at in (0..part.len()).rev().filter(|at| part[*at] == b'\n') {
            // The newline of the entry before the wanted ones ends the search.
            if seen == wanted {
                return Ok(Ok(Skip::Bytes(start + at as u64 + 1)));
            }
            seen += 1;
        }
        end = start;
    }
    Ok(if seen == wanted { Ok(Skip::Bytes(0)) } else { Err(seen) })
}

fn last_records(file: &mut File, size: u64, wanted: u64) -> io::Result<std::result::Result<Skip, u64>> {
    let (mut end, mut seen) = (size, 0);
    let framing = local::FRAMING as u64;
    while seen < wanted && end >= framing {
        let mut length = [0; 4];
        file.seek(SeekFrom::Start(end - 4))?;
        file.read_exact(&mut length)?;
        let whole = u64::from(u32::from_le_bytes(length)) + framing;
        // A record torn by a crash: its end is not a length. Counting from the front still works.
        let Some(start) = end.checked_sub(whole) else { return forward(file, wanted) };
        let mut head = [0; 4];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut head)?;
        if head != length {
            return forward(file, wanted);
        }
        (end, seen) = (start, seen + 1);
    }
    Ok(if seen == wanted { Ok(Skip::Bytes(end)) } else { Err(seen) })
}

fn forward(file: &mut File, wanted: u64) -> io::Result<std::result::Result<Skip, u64>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let (mut at, mut total) = (0, 0);
    while let local::Step::Record(_, taken) = local::decode(&bytes[at..]) {
        at += taken;
        total += 1;
    }
    Ok(if total >= wanted { Ok(Skip::Entries(total - wanted)) } else { Err(total) })
}

fn count(format: Format, path: &Path, gzipped: bool) -> Result<u64> {
    let Some(source) = open(path, gzipped)? else { return Ok(0) };
    let mut entries = crate::reader::Entries::new(format, source);
    let mut total = 0;
    while entries.next().map_err(Error::io("read", path))?.is_some() {
        total += 1;
    }
    Ok(total)
}
