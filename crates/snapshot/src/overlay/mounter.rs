//! Who merges the directories, and in whose words.

use super::{FUSE, KERNEL};
use archive::whiteout::{Marks, Whiteouts};
use model::Rootfs;
use std::path::PathBuf;

/// Upper and work directory.
pub type Writable = Option<(PathBuf, PathBuf)>;

#[derive(Debug, Clone)]
pub enum Mounter {
    Kernel,
    /// fuse-overlayfs(1), with what it calls its version.
    Fuse {
        program: PathBuf,
        version: String,
    },
}

impl Mounter {
    pub fn driver_name(&self) -> &'static str {
        match self {
            Self::Kernel => KERNEL,
            Self::Fuse { .. } => FUSE,
        }
    }

    pub fn whiteouts(&self) -> Whiteouts {
        match self {
            Self::Kernel => Whiteouts::Overlay,
            Self::Fuse { .. } => Whiteouts::FuseOverlay,
        }
    }

    pub fn marks(&self) -> Marks {
        match self {
            Self::Kernel => Marks::Kernel,
            Self::Fuse { .. } => Marks::Fuse,
        }
    }

    pub fn plan(&self, lower: Vec<PathBuf>, writable: Writable) -> Rootfs {
        let (upper, work) = writable.unzip();
        match self {
            Self::Kernel => Rootfs::Overlay { lower, upper, work, options: vec!["userxattr".to_owned()] },
            Self::Fuse { program, .. } => {
                Rootfs::FuseOverlay { program: program.clone(), lower, upper, work }
            }
        }
    }

    /// What `docker info` shows of it.
    pub fn status(&self, backing: &str) -> Vec<(String, String)> {
        let pairs: &[(&str, &str)] = match self {
            Self::Kernel => &[
                ("Backing Filesystem", backing),
                ("Supports d_type", "true"),
                ("Using metacopy", "false"),
                ("Native Overlay Diff", "true"),
                ("userxattr", "true"),
            ],
            Self::Fuse { version, .. } => &[("Backing Filesystem", backing), ("Version", version)],
        };
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }
}
