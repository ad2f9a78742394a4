//! Paths on this side.

use std::path::Path;

use super::plan::{Destination, Source};
use crate::error::Error;

pub fn source(path: &str, follow: bool) -> Result<Source, Error> {
    let fail = |path: &str| Error::file("lstat", Path::new(path).to_owned());
    let resolved = match follow {
        // The copy keeps the link's name only if docker did; it takes the target's.
        true => {
            let tail = if path.ends_with("/.") { "/." } else { "" };
            let real = std::fs::canonicalize(path).map_err(fail(path))?;
            format!("{}{tail}", real.to_string_lossy())
        }
        false => path.to_owned(),
    };
    let metadata = std::fs::symlink_metadata(&resolved).map_err(fail(&resolved))?;
    if resolved.ends_with('/') && !metadata.is_dir() {
        return Err(Error::invalid(format!("not a directory: {resolved}")));
    }
    Ok(Source { path: resolved, is_dir: metadata.is_dir() })
}

/// A link at the destination is followed; the directory that shall hold the copy must exist.
pub fn destination(path: &str) -> Result<Destination, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) => {
            if path.ends_with('/') && !metadata.is_dir() {
                return Err(Error::invalid(format!("not a directory: {path}")));
            }
            Ok(Destination { path: path.into(), exists: true, is_dir: metadata.is_dir() })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = match Path::new(path.trim_end_matches('/')).parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            if !parent.is_dir() {
                return Err(Error::invalid(format!(
                    "invalid output path: directory {parent:?} does not exist"
                )));
            }
            Ok(Destination { path: path.into(), exists: false, is_dir: false })
        }
        Err(error) => Err(Error::file("stat", path)(error)),
    }
}
