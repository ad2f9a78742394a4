//! A layer that is being filled.

use crate::{Result, Usage};
use archive::{
    Limits,
    blob::UnpackedLayer,
    unpack::{Below, Options, Ownership},
    whiteout::Whiteouts,
};
use model::{Digest, Rootfs};
use std::{
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Blocks until a layer that somebody else is making is committed.
///
/// # Errors
/// That it never will be.
pub type Arrival = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// A layer that nobody else sees yet. Dropping it removes it.
pub struct StagedLayer {
    pub(crate) parent: Option<Digest>,
    pub(crate) path: PathBuf,
    pub(crate) root: OwnedFd,
    pub(crate) whiteouts: Whiteouts,
    pub(crate) ownership: Ownership,
    pub(crate) below: Box<dyn Below>,
    /// Whether the parent is to say yet what the root is like, unless an archive does.
    pub(crate) root_is_open: bool,
    /// Known without a walk when all that is in the layer came from one archive.
    pub(crate) usage: Option<Usage>,
    /// Removes the directory when the value is dropped; taken by a commit.
    pub(crate) cleanup: Option<Cleanup>,
}

pub(crate) type Cleanup = Box<dyn FnOnce(&Path) + Send>;

impl StagedLayer {
    pub fn parent(&self) -> Option<&Digest> {
        self.parent.as_ref()
    }

    /// The directory to fill. What is written here directly must use the driver's own marks for whiteouts.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Unpacks a layer blob (plain, gzip or zstd) into the layer and tells both its digests. The caller compares them;
    /// nothing is visible before the commit.
    ///
    /// # Errors
    /// Of [`archive::unpack::layer`]; the layer is then fit only to be dropped.
    pub fn unpack(&mut self, blob: impl Read + Send, limits: &Limits) -> Result<UnpackedLayer> {
        let options = Options {
            whiteouts: self.whiteouts,
            ownership: self.ownership,
            overwrite_kinds: true,
            limits: limits.clone(),
            below: Some(&*self.below),
        };
        let unpacked = archive::unpack::layer(blob, self.root.as_fd(), &options)?;
        let added = unpacked.contents;
        self.root_is_open &= !added.has_root;
        let before = self.usage.take();
        self.usage =
            before.map(|u| Usage { bytes: u.bytes + added.file_bytes, inodes: u.inodes + added.inodes });
        Ok(unpacked)
    }
}

/// The layers below a staged one, mounted when an archive needs them.
pub(crate) struct Mounted(pub Option<Rootfs>);

impl Below for Mounted {
    fn open(&self) -> io::Result<Option<OwnedFd>> {
        self.0.as_ref().map(|plan| sys::overlay::mount_detached(plan).map_err(io::Error::from)).transpose()
    }
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        if let Some(cleanup) = self.cleanup.take() {
            cleanup(&self.path);
        }
    }
}
