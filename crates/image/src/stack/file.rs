//! A layer's blob as a file that is here: a member of an archive, or of a directory that users share.

use crate::{Error, Result};
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A regular file, of which only so many bytes count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobFile {
    pub path: PathBuf,
    pub size: u64,
}

impl BlobFile {
    /// What lies at `path`; none when it is no regular file.
    pub fn at(path: PathBuf) -> Result<Option<Self>> {
        let metadata = open(&path)?.metadata().map_err(Error::file("stat", &path))?;
        Ok(metadata.is_file().then_some(Self { size: metadata.len(), path }))
    }

    pub fn open(&self) -> Result<impl Read + Send + use<>> {
        Ok(open(&self.path)?.take(self.size))
    }
}

/// Whoever put it there: neither a symbolic link is followed, nor a pipe waited for.
fn open(path: &Path) -> Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    opened.map_err(Error::file("open", path))
}

/// At most so often is progress reported.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Reports how far a reader is, a few times a second.
pub(crate) struct Counted<R, F> {
    from: R,
    done: u64,
    last: Instant,
    report: F,
}

impl<R, F: Fn(u64)> Counted<R, F> {
    pub fn new(from: R, report: F) -> Self {
        Self { from, done: 0, last: Instant::now(), report }
    }
}

impl<R: Read, F: Fn(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.done += got as u64;
        if self.last.elapsed() >= REPORT_EVERY || (got == 0 && self.done > 0) {
            self.last = Instant::now();
            (self.report)(self.done);
        }
        Ok(got)
    }
}
