//! The directories of volumes: `ROOT/NAME/_data`.

use crate::{Error, Result, Volume, name};
use model::Timestamp;
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// A directory on its way out. No volume's name begins with a dot.
const REMOVED: &str = ".removed-";

pub(crate) fn data(root: &Path, name: &str) -> PathBuf {
    root.join(name).join("_data")
}

/// Makes the directories of a volume. Containers run as any mapped user, so the way down is open and not listable.
pub(crate) fn make(root: &Path, name: &str) -> Result<()> {
    mkdir(&root.join(name), 0o701)?;
    mkdir(&data(root, name), 0o755)
}

fn mkdir(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(Error::file("make volume directory", path)),
    }
}

/// Makes `root`, completes removals, and returns a record for each volume directory there is.
pub(crate) fn scan(root: &Path) -> Result<Vec<Volume>> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).map_err(Error::file("make directory", parent))?;
    }
    mkdir(root, 0o701)?;
    let read = |source| Error::File { operation: "read directory", path: root.to_owned(), source };
    let mut volumes = Vec::new();
    for entry in fs::read_dir(root).map_err(read)? {
        let entry = entry.map_err(read)?;
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        if file_name.starts_with(REMOVED) {
            delete(&entry.path())?;
        } else if name::is_valid(&file_name) && data(root, &file_name).is_dir() {
            let changed = entry.metadata().map_err(read)?.ctime();
            volumes.push(Volume {
                name: file_name,
                created: Timestamp::from_unix(changed, 0),
                labels: BTreeMap::new(),
                options: BTreeMap::new(),
            });
        }
    }
    Ok(volumes)
}

/// Takes a volume's directory out of the way; returns where to, or none when there was none.
pub(crate) fn set_aside(root: &Path, name: &str) -> Result<Option<PathBuf>> {
    let (from, to) = (root.join(name), root.join(format!("{REMOVED}{}", model::Id::random())));
    match fs::rename(&from, &to) {
        Ok(()) => Ok(Some(to)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file("set aside volume directory", from)(e)),
    }
}

/// Deletes a directory that was set aside. The standard library walks by descriptors, so a symlink that a container
/// left or swaps in is deleted, never followed (CVE-2022-21658).
pub(crate) fn delete(path: &Path) -> Result<()> {
    fs::remove_dir_all(path).map_err(Error::file("error removing volume path", path))
}
