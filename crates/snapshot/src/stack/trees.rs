//! What a tree's top directory is.

use archive::at;
use rustix::fs::{self, Mode};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// How the top directories of layers and containers are made and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trees {
    Directories,
    /// Of btrfs; see [`sys::btrfs`].
    Subvolumes,
}

/// The name of a container's tree in the container's directory, when it is a subvolume.
pub const ROOT: &str = "root";

impl Trees {
    /// Makes `name` in `dir`: empty, or as a snapshot of `like`, which only subvolumes can be.
    pub fn make(self, dir: BorrowedFd<'_>, name: &str, like: Option<BorrowedFd<'_>>) -> io::Result<()> {
        match (self, like) {
            (Self::Directories, _) => Ok(fs::mkdirat(dir, name, Mode::from(0o755))?),
            (Self::Subvolumes, None) => Ok(sys::btrfs::create(dir, name.as_bytes())?),
            (Self::Subvolumes, Some(like)) => Ok(sys::btrfs::snapshot(like, dir, name.as_bytes())?),
        }
    }

    /// Removes `name` in `dir` with everything below it. What is not there is removed already.
    pub fn remove(self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        // What cannot be destroyed at once (no subvolume, no permission, subvolumes of a container's own inside) goes
        // file by file, and that tells what is wrong.
        if self == Self::Subvolumes {
            if sys::btrfs::destroy(dir, name).is_ok() {
                return Ok(());
            }
            if let Ok(container) = at::open_dir(dir, name) {
                drop(sys::btrfs::destroy(container.as_fd(), ROOT.as_bytes()));
            }
        }
        at::remove_tree(dir, name)
    }
}
