//! `path`, `path.1`, `path.2.gz` …: which files make up a log, and how they move on.

use crate::{Error, Result};
use flate2::{Compression, write::GzEncoder};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The `n`th predecessor of the file being written; the file itself for 0.
pub(crate) fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 0 { path.to_owned() } else { with_suffix(path, &format!(".{n}")) }
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The files of a log, newest first, as numbers with whether they are gzipped.
pub(crate) fn files(path: &Path) -> Vec<(PathBuf, bool)> {
    let mut found = vec![(path.to_owned(), false)];
    for n in 1.. {
        let plain = numbered(path, n);
        let gzipped = with_suffix(&plain, ".gz");
        // Between the compressor's rename and its unlink both exist, with the same entries.
        if plain.exists() {
            found.push((plain, false));
        } else if gzipped.exists() {
            found.push((gzipped, true));
        } else {
            return found;
        }
    }
    unreachable!("the loop ends at the first missing number")
}

/// Make room for a new file at `path`: each file moves up by one, the oldest goes.
pub(crate) fn shift(path: &Path, max_files: u32) -> Result<()> {
    if max_files <= 1 {
        return remove(path);
    }
    let oldest = numbered(path, max_files - 1);
    remove(&oldest)?;
    remove(&with_suffix(&oldest, ".gz"))?;
    for n in (0..max_files - 1).rev() {
        let (from, to) = (numbered(path, n), numbered(path, n + 1));
        rename(&from, &to)?;
        rename(&with_suffix(&from, ".gz"), &with_suffix(&to, ".gz"))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    absent_is_fine(fs::remove_file(path)).map_err(Error::io("remove", path))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    absent_is_fine(fs::rename(from, to)).map_err(Error::io("rotate", from))
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Replace `path` by `path.gz`. It takes as long as gzip takes, so a shim leaves it to a process of its own; the writer
/// does not rotate again before [`crate::Writer::compressed`].
pub fn compress(path: &Path) -> Result<()> {
    let target = with_suffix(path, ".gz");
    let partial = with_suffix(path, ".gz.tmp");
    let mut input = File::open(path).map_err(Error::io("open", path))?;
    let output = File::create(&partial).map_err(Error::io("create", &partial))?;
    let mut encoder = GzEncoder::new(output, Compression::default());
    io::copy(&mut input, &mut encoder)
        .and_then(|_| encoder.finish())
        .and_then(|_| fs::rename(&partial, &target))
        .and_then(|()| fs::remove_file(path))
        .map_err(Error::io("compress", path))
}
