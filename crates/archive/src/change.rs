//! One difference between two trees, as `docker diff` shows it.

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt, path::PathBuf};

/// How a path differs from the tree below. The numbers are the Engine API's (`ContainerChangeResponseItem.Kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChangeKind {
    /// `C`: it was there, and its content or its attributes are others; also a directory above a change.
    Modified = 0,
    /// `A`: it was not there.
    Added = 1,
    /// `D`: it was there. What lay inside a deleted directory is not listed.
    Deleted = 2,
}

impl ChangeKind {
    /// The letter of `docker diff`.
    pub fn letter(self) -> char {
        match self {
            Self::Modified => 'C',
            Self::Added => 'A',
            Self::Deleted => 'D',
        }
    }
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// Absolute within the root file system: `/etc/hosts`. Bytes as the file system has them, UTF-8 or not.
    pub path: PathBuf,
    pub kind: ChangeKind,
}

impl Change {
    /// From a path relative to the root, without a leading slash.
    pub(crate) fn new(relative: &[u8], kind: ChangeKind) -> Self {
        Self { path: PathBuf::from("/").join(OsStr::from_bytes(relative)), kind }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.letter(), self.path.display())
    }
}
