//! How a tree is made like another.

use super::{BTRFS, VFS, copy};
use crate::{Error, Result, fs_type, select::Unusable, stack::Trees};
use archive::at;
use model::Id;
use rustix::fs::{self, CWD, Mode, OFlags};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloner {
    /// File by file, sharing blocks where the file system can.
    Copy,
    /// By a snapshot of a btrfs subvolume.
    Snapshot,
}

impl Cloner {
    pub fn driver_name(self) -> &'static str {
        match self {
            Self::Copy => VFS,
            Self::Snapshot => BTRFS,
        }
    }

    pub fn trees(self) -> Trees {
        match self {
            Self::Copy => Trees::Directories,
            Self::Snapshot => Trees::Subvolumes,
        }
    }

    /// What is left to do after [`Trees::make`] made `to` like `from`.
    pub fn fill(self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::Copy => copy::tree(from, to),
            Self::Snapshot => Ok(()),
        }
    }
}

/// Makes a subvolume and a snapshot of it below `root`, which exists, and removes both.
///
/// # Errors
/// The outer one when the probe could not be cleaned up; the inner one says why the driver does not work.
pub fn probe_btrfs(root: &Path) -> Result<std::result::Result<(), Unusable>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = fs::openat(CWD, root, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(Error::file("open", root))?;
    let file_system = fs_type::of(dir.as_fd()).map_err(Error::file("statfs", root))?.docker_name();
    if file_system != "btrfs" {
        return Ok(Err(Unusable::FileSystem { needed: "btrfs", found: file_system }));
    }
    let names = ["a", "b"].map(|part| format!(".probe-{part}-{}", Id::random().short()));
    let made = subvolume_and_snapshot(dir.as_fd(), &names);
    for name in &names {
        let removed = Trees::Subvolumes.remove(dir.as_fd(), name.as_bytes());
        removed.map_err(Error::file("remove", &root.join(name)))?;
    }
    let hint = "";
    Ok(made.map_err(|source| Unusable::Probe { operation: "snapshot a subvolume", source, hint }))
}

fn subvolume_and_snapshot(dir: BorrowedFd<'_>, [first, second]: &[String; 2]) -> io::Result<()> {
    Trees::Subvolumes.make(dir, first, None)?;
    let source = at::open_dir(dir, first.as_bytes())?;
    Trees::Subvolumes.make(dir, second, Some(source.as_fd()))
}

/// Whether a subvolume can be removed at once, asked in a directory of the driver's own.
pub fn removes_at_once(tmp: BorrowedFd<'_>) -> bool {
    let name = Id::random().short().to_owned();
    sys::btrfs::create(tmp, name.as_bytes()).is_ok()
        && (sys::btrfs::destroy(tmp, name.as_bytes()).is_ok() || {
            if let Err(error) = at::remove_tree(tmp, name.as_bytes()) {
                tracing::warn!(%error, "a subvolume that was made to try it out stays until the next start");
            }
            false
        })
}
