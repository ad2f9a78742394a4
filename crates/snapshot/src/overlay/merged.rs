//! The directories that a mount is made of.

use super::Mounter;
use crate::{Arrival, Error, Result, Rootfs, stack::Stack};
use archive::unpack::Below;
use model::Digest;
use std::{io, os::fd::OwnedFd, path::PathBuf};

/// `OVL_MAX_STACK` of the kernel; one place is kept for [`super::EMPTY`].
const MOST_LAYERS: usize = 499;

#[derive(Clone)]
pub struct Merged {
    pub mounter: Mounter,
    pub stack: Stack,
    /// The lowest directory of every mount.
    pub empty: PathBuf,
}

impl Merged {
    /// Directories of the layer and of those below it, topmost first.
    pub fn lower(&self, layer: Option<&Digest>) -> Result<Vec<PathBuf>> {
        let mut lower = match layer {
            Some(layer) => self.stack.chain_paths(layer)?,
            None => Vec::new(),
        };
        lower.push(self.empty.clone());
        Ok(lower)
    }

    pub fn read_only(&self, layer: Option<&Digest>) -> Result<Rootfs> {
        Ok(self.mounter.plan(self.lower(layer)?, None))
    }

    /// What a layer on top of `parent` stands on.
    ///
    /// # Errors
    /// [`Error::NoSuchLayer`]; [`Error::TooManyLayers`] when nothing more can be mounted on top of it.
    pub fn below(&self, parent: &Digest) -> Result<Rootfs> {
        let lower = self.lower(Some(parent))?;
        if lower.len() > MOST_LAYERS {
            let (driver, layer, count) = (self.mounter.driver_name(), parent.clone(), lower.len() - 2);
            return Err(Error::TooManyLayers { driver, layer, count, limit: MOST_LAYERS });
        }
        Ok(self.mounter.plan(lower, None))
    }
}

/// The layers below one that was staged ahead: there when its parent is.
pub struct Later {
    pub merged: Merged,
    pub parent: Digest,
    pub arrival: Arrival,
}

impl Below for Later {
    fn open(&self) -> io::Result<Option<OwnedFd>> {
        (self.arrival)()?;
        let plan = self.merged.below(&self.parent).map_err(io::Error::other)?;
        sys::overlay::mount_detached(&plan).map(Some).map_err(io::Error::from)
    }
}
