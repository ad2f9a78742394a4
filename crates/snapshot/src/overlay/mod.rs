//! Overlays: the kernel's (driver overlay2), mounted in the engine's user namespace, and those of fuse-overlayfs(1) for
//! machines whose kernel mounts none there, and for data roots that are on an overlay themselves.
//!
//! A layer is a directory with the layer's own files, its whiteouts translated to the marks that the [`Mounter`] reads;
//! it merges the directories when a [`Rootfs`] is mounted. A container's tree is an upper and a work directory, so making one
//! costs a few mkdir(2) however large the image is.
//!
//! The kernel's mount options: `userxattr`, because `trusted.*` attributes need privilege in the first user namespace (Linux 5.11);
//! it also turns redirects and metadata-only copy-up off, so that an upper directory can be read without the kernel:
//! each changed file is whole, each renamed directory was copied (`Documentation/filesystems/overlayfs.rst`).

mod fuse;
mod merged;
mod mounter;
mod probe;

use crate::{
    Arrival, Damage, Driver, Error, Result, Rootfs, StagedLayer, Usage, fs_type,
    stack::{Stack, Staging, Trees},
    staged::Mounted,
    usage,
};
use archive::{
    Change, at,
    diff::Overlay,
    unpack::{Below, Ownership},
};
use model::{Digest, Id};
use rustix::fs::{self, Gid, Mode, Stat, Uid};
use std::{
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use merged::{Later, Merged};

pub use fuse::find as find_fuse;
pub use fuse::program as fuse_program;
pub use mounter::Mounter;
pub use probe::probe;

/// Names of the drivers and of their directories.
pub const KERNEL: &str = "overlay2";
pub const FUSE: &str = "fuse-overlayfs";

/// The lowest directory of every mount: an overlay needs two layers when it has no upper one.
const EMPTY: &str = "empty";

/// Upper and work directory of a container.
const UPPER: &str = "diff";
const WORK: &str = "work";

pub struct Overlays {
    stack: Stack,
    merged: Merged,
    ownership: Ownership,
    backing: String,
}

impl Overlays {
    /// Opens the driver below `root`. [`fn@probe`] has said that it works there.
    ///
    /// # Errors
    /// Those of opening and reading the directory.
    pub fn open(root: &Path, mounter: Mounter, ownership: Ownership) -> Result<Self> {
        let stack = Stack::open(root, Trees::Directories)?;
        let empty = root.join(EMPTY);
        match std::fs::create_dir(&empty) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(Error::file("mkdir", &empty))?,
        }
        let backing = fs_type::of(stack.tmp()).map_err(Error::file("statfs", root))?.docker_name();
        let merged = Merged { mounter, stack: stack.clone(), empty };
        Ok(Self { stack, merged, ownership, backing })
    }

    /// The merged root shows the attributes of its topmost directory, so each has those of the one below, until its
    /// archive says otherwise.
    fn root_attributes(&self, layer: Option<&Digest>) -> Result<Option<Stat>> {
        let Some(layer) = layer else { return Ok(None) };
        let path = self.stack.layer_path(layer)?;
        let stat = fs::stat(&path).map_err(io::Error::from).map_err(Error::file("stat", &path))?;
        Ok(Some(stat))
    }

    fn staged(
        &self,
        staging: Staging,
        parent: Option<&Digest>,
        below: Box<dyn Below>,
        root_is_open: bool,
    ) -> StagedLayer {
        let cleanup = self.stack.discard(&staging, parent);
        StagedLayer {
            parent: parent.cloned(),
            path: staging.path,
            root: staging.root,
            whiteouts: self.merged.mounter.whiteouts(),
            ownership: self.ownership,
            below,
            root_is_open,
            usage: Some(Usage::default()),
            cleanup: Some(cleanup),
        }
    }

    fn overlay<'a>(&self, upper: &'a OwnedFd, below: &'a OwnedFd) -> Overlay<'a> {
        Overlay { upper: upper.as_fd(), below: below.as_fd(), marks: self.merged.mounter.marks() }
    }

    /// The container's upper directory and the mounted layers below it.
    fn difference(&self, id: &Id) -> Result<(OwnedFd, OwnedFd)> {
        let upper = self.stack.open_container(id, UPPER)?;
        let below = self.merged.read_only(self.stack.container_layer(id)?.as_ref())?;
        let below = sys::overlay::mount_detached(&below)
            .map_err(io::Error::from)
            .map_err(Error::file("mount the layers below", &self.stack.container_path(id)))?;
        Ok((upper, below))
    }
}

fn set_attributes(dir: BorrowedFd<'_>, from: Option<&Stat>) -> io::Result<()> {
    let Some(stat) = from else { return Ok(fs::fchmod(dir, Mode::from(0o755))?) };
    fs::fchown(dir, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    Ok(fs::fchmod(dir, Mode::from(stat.st_mode & 0o7777))?)
}

fn make_inside(dir: BorrowedFd<'_>, name: &str, attributes: Option<&Stat>) -> io::Result<()> {
    fs::mkdirat(dir, name, Mode::from(0o700))?;
    set_attributes(at::open_dir(dir, name.as_bytes())?.as_fd(), attributes)
}

impl Driver for Overlays {
    fn name(&self) -> &'static str {
        self.merged.mounter.driver_name()
    }

    fn status(&self) -> Vec<(String, String)> {
        self.merged.mounter.status(&self.backing)
    }

    fn layer_exists(&self, chain: &Digest) -> bool {
        self.stack.layer_exists(chain)
    }

    fn layers(&self) -> Vec<Digest> {
        self.stack.layers()
    }

    fn layer_parent(&self, chain: &Digest) -> Result<Option<Digest>> {
        self.stack.layer_parent(chain)
    }

    fn begin_layer(&self, parent: Option<&Digest>) -> Result<StagedLayer> {
        let below = parent.map(|parent| self.merged.below(parent)).transpose()?;
        let attributes = self.root_attributes(parent)?;
        let staged = self.staged(self.stack.stage(parent)?, parent, Box::new(Mounted(below)), false);
        set_attributes(staged.root(), attributes.as_ref()).map_err(Error::file("chmod", &staged.path))?;
        Ok(staged)
    }

    fn begin_layer_ahead(&self, parent: &Digest, arrival: Arrival) -> Option<Result<StagedLayer>> {
        let later = Later { merged: self.merged.clone(), parent: parent.clone(), arrival };
        let staging = self.stack.stage_ahead(parent);
        Some(staging.map(|staging| self.staged(staging, Some(parent), Box::new(later), true)))
    }

    fn commit_layer(&self, staged: StagedLayer, chain: &Digest) -> Result<()> {
        if let Some(parent) = &staged.parent {
            self.merged.below(parent)?;
        }
        if staged.root_is_open {
            let attributes = self.root_attributes(staged.parent.as_ref())?;
            set_attributes(staged.root(), attributes.as_ref()).map_err(Error::file("chmod", &staged.path))?;
        }
        self.stack.commit(staged, chain)
    }

    fn remove_layer(&self, chain: &Digest) -> Result<()> {
        self.stack.remove_layer(chain)
    }

    fn layer_usage(&self, chain: &Digest) -> Result<Usage> {
        self.stack.layer_usage(chain)
    }

    fn layer_rootfs(&self, chain: &Digest) -> Result<Rootfs> {
        self.merged.read_only(Some(chain))
    }

    fn create_container(&self, id: &Id, layer: Option<&Digest>) -> Result<()> {
        let attributes = self.root_attributes(layer)?;
        self.stack.create_container(id, layer, |dir, path| {
            make_inside(dir, WORK, None).map_err(Error::file("mkdir", &path.join(WORK)))?;
            make_inside(dir, UPPER, attributes.as_ref()).map_err(Error::file("mkdir", &path.join(UPPER)))
        })
    }

    fn remove_container(&self, id: &Id) -> Result<()> {
        self.stack.remove_container(id)
    }

    fn containers(&self) -> Vec<Id> {
        self.stack.containers()
    }

    fn container_layer(&self, id: &Id) -> Result<Option<Digest>> {
        self.stack.container_layer(id)
    }

    fn rootfs(&self, id: &Id) -> Result<Rootfs> {
        let lower = self.merged.lower(self.stack.container_layer(id)?.as_ref())?;
        let own = self.stack.container_path(id);
        Ok(self.merged.mounter.plan(lower, Some((own.join(UPPER), own.join(WORK)))))
    }

    fn changes(&self, id: &Id) -> Result<Vec<Change>> {
        let (upper, below) = self.difference(id)?;
        Ok(self.overlay(&upper, &below).changes()?)
    }

    fn diff(&self, id: &Id, out: &mut dyn Write) -> Result<()> {
        let (upper, below) = self.difference(id)?;
        Ok(self.overlay(&upper, &below).write_archive(out)?)
    }

    fn check(&self, repair: bool) -> Result<Vec<Damage>> {
        self.stack.check(repair)
    }

    fn container_usage(&self, id: &Id) -> Result<Usage> {
        let upper = self.stack.open_container(id, UPPER)?;
        usage::of_tree(upper.as_fd()).map_err(Error::file("walk", &self.stack.container_path(id)))
    }
}

#[cfg(test)]
mod tests;
