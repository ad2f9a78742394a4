//! How much a tree occupies.

use crate::{Error, Result};
use std::{collections::HashSet, fs, io, os::unix::fs::MetadataExt, path::Path};

/// Apparent sizes of the files below `root`, as Docker adds them up; a file with several names counts once.
///
/// Containers may change the tree meanwhile: what has gone does not count.
pub(crate) fn of(root: &Path) -> Result<u64> {
    let mut seen = HashSet::new();
    let mut open = vec![root.to_owned()];
    let mut total = 0;
    while let Some(dir) = open.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::file("measure volume directory", dir)(e)),
        };
        for entry in entries.flatten() {
            // DirEntry::metadata does not follow symlinks.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                open.push(entry.path());
            } else if seen.insert((meta.dev(), meta.ino())) {
                total += meta.len();
            }
        }
    }
    Ok(total)
}
