//! Whiteouts: how a layer says that something below it is gone.
//!
//! In an archive (OCI image-spec, layer.md, "Whiteouts") an empty file `.wh.NAME` removes `NAME` of the layers below,
//! and `.wh..wh..opq` hides everything the layers below have in its directory. Both speak of lower layers only: a
//! `NAME` of the same archive stays, wherever in the archive it stands.
//!
//! A kernel overlay has its own marks (`Documentation/filesystems/overlayfs.rst`): a character device 0:0 removes, the
//! extended attribute `user.overlay.opaque=y` hides (`trusted.overlay.opaque` without the mount option `userxattr`).
//! Since Linux 5.8 mknod(2) of 0:0 needs no capability.

use rustix::{
    fs::{self, AtFlags},
    io::Errno,
};
use std::{io, os::fd::BorrowedFd};

/// What an extractor does with whiteouts, which is what the tree it fills is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// The tree is one layer of a kernel overlay mounted with `userxattr`: translate to the kernel's marks.
    Overlay,
    /// The tree is one layer of fuse-overlayfs(1): translate to its marks, which need nothing of the file system below.
    FuseOverlay,
    /// The tree is a copy of the layers below: carry them out.
    Apply,
    /// The archive is no layer: a file that is named like a whiteout is a file (`docker cp`).
    Literal,
}

/// Prefix of a whiteout's name.
pub const PREFIX: &[u8] = b".wh.";
/// Name of the mark of an opaque directory. Other names with [`PREFIX`] twice are AUFS' own files, and are skipped.
pub const OPAQUE: &[u8] = b".wh..wh..opq";
/// The kernel's mark of an opaque directory.
pub const OVERLAY_OPAQUE: &str = "user.overlay.opaque";
/// The mark of fuse-overlayfs(1).
pub const FUSE_OPAQUE: &str = "user.fuseoverlayfs.opaque";

/// Who reads the marks of an overlay's layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// The kernel: a character device 0:0, and [`OVERLAY_OPAQUE`].
    Kernel,
    /// fuse-overlayfs(1), which writes a character device 0:0 where it can make one and else an empty file `.wh.NAME`,
    /// and [`FUSE_OPAQUE`]; it reads the kernel's and an archive's marks as well.
    Fuse,
}

impl Whiteouts {
    /// The attribute that makes a directory opaque, where one does.
    pub fn opaque_mark(self) -> Option<&'static str> {
        match self {
            Self::Overlay => Some(OVERLAY_OPAQUE),
            Self::FuseOverlay => Some(FUSE_OPAQUE),
            Self::Apply | Self::Literal => None,
        }
    }
}

/// The name that a file like this removes, with [`Marks::Fuse`]; none for other files and for [`OPAQUE`].
pub(crate) fn removed_name(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(PREFIX).filter(|rest| !rest.starts_with(PREFIX))
}

pub(crate) fn mark_name(name: &[u8]) -> Vec<u8> {
    [PREFIX, name].concat()
}

/// Removes the file that removes `name`; tells whether there was one.
pub(crate) fn take_back(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    match fs::unlinkat(dir, mark_name(name), AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
