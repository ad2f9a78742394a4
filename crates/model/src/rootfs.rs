//! How a container's root file system is put together, as the storage driver tells the process that mounts it.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The plan for one root file system.
///
/// It is carried out inside the container's own mount namespace, so that the mount disappears with the container and
/// no other process ever sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Rootfs {
    /// A complete directory tree, bind-mounted (vfs, btrfs).
    Dir { path: PathBuf },
    /// A kernel overlay (`Documentation/filesystems/overlayfs.rst`).
    Overlay {
        /// Lower layers, topmost first, as `lowerdir=` lists them. Never empty.
        lower: Vec<PathBuf>,
        /// The writable layer; without it the mount is read-only.
        upper: Option<PathBuf>,
        /// An empty directory on the same file system as `upper`.
        work: Option<PathBuf>,
        /// Further mount options, such as `userxattr`.
        options: Vec<String>,
    },
    /// An overlay served by fuse-overlayfs(1), which whoever mounts it starts and which ends with the mount.
    FuseOverlay {
        /// The program, by its absolute path.
        program: PathBuf,
        /// As of [`Rootfs::Overlay`].
        lower: Vec<PathBuf>,
        upper: Option<PathBuf>,
        work: Option<PathBuf>,
    },
}

/// The mount option of overlays whose writable layer need not survive a crash
/// (`Documentation/filesystems/overlayfs.rst`, "Volatile mount").
pub const VOLATILE: &str = "volatile";

impl Rootfs {
    /// The topmost directory that the tree is made of: the writable one, if there is one.
    pub fn topmost(&self) -> Option<&PathBuf> {
        match self {
            Self::Dir { path } => Some(path),
            Self::Overlay { lower, upper, .. } | Self::FuseOverlay { lower, upper, .. } => {
                upper.as_ref().or(lower.first())
            }
        }
    }

    /// The same tree for a container of which nothing is wanted after a crash of the host: its fsync(2) costs nothing, and
    /// its end does not have the whole file system below written out (Linux 5.10, `ovl_sync_fs`).
    #[must_use]
    pub fn volatile(mut self) -> Self {
        if let Self::Overlay { upper: Some(_), options, .. } = &mut self {
            options.push(VOLATILE.to_owned());
        }
        self
    }

    /// The same tree to be looked at while somebody else writes to it: a writable layer may have one writable mount
    /// only (`Documentation/filesystems/overlayfs.rst`, "Sharing and copying layers"), so it is one more lower layer.
    pub fn read_only(self) -> Self {
        match self {
            Self::Dir { path } => Self::Dir { path },
            Self::Overlay { lower, upper, work: _, options } => Self::Overlay {
                lower: upper.into_iter().chain(lower).collect(),
                upper: None,
                work: None,
                options: options.into_iter().filter(|option| option != VOLATILE).collect(),
            },
            Self::FuseOverlay { program, lower, upper, work: _ } => {
                let lower = upper.into_iter().chain(lower).collect();
                Self::FuseOverlay { program, lower, upper: None, work: None }
            }
        }
    }
}
