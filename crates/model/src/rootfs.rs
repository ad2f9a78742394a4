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
    /// A complete directory tree, bind-mounted (vfs, btrfs, fuse-overlayfs' mount point).
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
}
