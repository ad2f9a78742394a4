//! Walking a tree by descriptors, in an order that depends on names alone.

use crate::at;
use rustix::fs::{FileType, Stat};
use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Directories are descended into when the caller says so ([`Walk::enter`]), before their next sibling. One descriptor
/// is held for each level.
pub struct Walk {
    frames: Vec<Frame>,
    /// Path of the last thing found, relative to the root.
    path: Vec<u8>,
}

struct Frame {
    dir: OwnedFd,
    /// Sorted backwards, to be popped.
    names: Vec<CString>,
    /// How much of [`Walk::path`] is this directory's.
    prefix: usize,
    present: CString,
}

/// Something in the tree.
pub struct Found<'w> {
    /// The directory it is in.
    pub dir: BorrowedFd<'w>,
    pub name: &'w [u8],
    /// Relative to the root, without a leading slash.
    pub path: &'w [u8],
    pub stat: Stat,
}

impl Found<'_> {
    pub fn kind(&self) -> FileType {
        at::file_type(&self.stat)
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == FileType::Directory
    }
}

/// Deeper trees are refused: each level costs a descriptor, and paths so long can hardly be used (`PATH_MAX`).
const DEEPEST: usize = 2048;

impl Walk {
    /// Starts at `root`, which itself is not yielded.
    pub fn new(root: BorrowedFd<'_>) -> io::Result<Self> {
        let mut walk = Self { frames: Vec::new(), path: Vec::new() };
        walk.push(at::open_dir(root, b".")?)?;
        Ok(walk)
    }

    fn push(&mut self, dir: OwnedFd) -> io::Result<()> {
        if self.frames.len() == DEEPEST {
            return Err(rustix::io::Errno::NAMETOOLONG.into());
        }
        let mut names = at::names(dir.as_fd())?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        self.frames.push(Frame { dir, names, prefix: self.path.len(), present: CString::default() });
        Ok(())
    }

    /// The next thing, or none at the end. What vanishes meanwhile is passed over.
    ///
    /// # Errors
    /// With the path at which they happened in [`Walk::path`].
    pub fn next_found(&mut self) -> io::Result<Option<Found<'_>>> {
        let stat = loop {
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            self.path.truncate(frame.prefix);
            let Some(name) = frame.names.pop() else {
                self.frames.pop();
                continue;
            };
            if frame.prefix > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            let stat = at::stat(frame.dir.as_fd(), name.to_bytes())?;
            frame.present = name;
            if let Some(stat) = stat {
                break stat;
            }
        };
        Ok(self.frames.last().map(|frame| Found {
            dir: frame.dir.as_fd(),
            name: frame.present.to_bytes(),
            path: &self.path,
            stat,
        }))
    }

    /// Descends into the directory that was found last.
    pub fn enter(&mut self) -> io::Result<()> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        match at::open_dir(frame.dir.as_fd(), frame.present.to_bytes()) {
            Ok(dir) => self.push(dir),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// How many directories are open: 1 for what lies directly in the root.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    pub fn path(&self) -> &[u8] {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn directories_come_before_what_they_hold_and_names_in_order() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/d")).unwrap();
        for file in ["b.x", "b/c", "b/d/e", "a"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        let dir = fs::File::open(root.path()).unwrap();
        let mut walk = Walk::new(dir.as_fd()).unwrap();
        let mut seen = Vec::new();
        while let Some(found) = walk.next_found().unwrap() {
            seen.push(String::from_utf8(found.path.to_vec()).unwrap());
            if found.is_dir() {
                walk.enter().unwrap();
            }
        }
        assert_eq!(seen, ["a", "b", "b/c", "b/d", "b/d/e", "b.x"]);
    }
}
