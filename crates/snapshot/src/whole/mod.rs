//! Whole trees: each layer and each container has all that it stands on.
//!
//! * **btrfs**: as a snapshot of a subvolume. Making one costs the same whatever it holds, and blocks are shared.
//!   Snapshots need no privilege; removing a subvolume at once needs the mount option `user_subvol_rm_allowed`, and
//!   without it the files go one by one.
//! * **vfs**: as a copy. Slow and large, unless the file system can share blocks between files (xfs, bcachefs); but it
//!   needs nothing of the kernel, so it works where nothing else does.

mod cloner;
mod copy;

pub use cloner::{Cloner, probe_btrfs};

use crate::{
    Arrival, Damage, Driver, Error, Result, Rootfs, StagedLayer, Usage, fs_type,
    stack::{ROOT, Stack},
    staged::Mounted,
    usage,
};
use archive::{Change, at, diff::Trees, unpack::Ownership, whiteout::Whiteouts};
use model::{Digest, Id};
use rustix::fs::{self, Mode};
use std::{
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Names of the drivers and of their directories.
pub const BTRFS: &str = "btrfs";
pub const VFS: &str = "vfs";

pub struct WholeTrees {
    cloner: Cloner,
    stack: Stack,
    ownership: Ownership,
    status: Vec<(String, String)>,
}

impl WholeTrees {
    /// Opens the driver below `root`; [`probe_btrfs`] has said that snapshots work there.
    ///
    /// # Errors
    /// Those of opening and reading the directory.
    pub fn open(root: &Path, cloner: Cloner, ownership: Ownership) -> Result<Self> {
        let stack = Stack::open(root, cloner.trees())?;
        let status = match cloner {
            Cloner::Copy => {
                let backing = fs_type::of(stack.tmp()).map_err(Error::file("statfs", root))?;
                vec![("Backing Filesystem", backing.docker_name())]
            }
            Cloner::Snapshot => vec![
                ("Btrfs", String::new()),
                ("user_subvol_rm_allowed", cloner::removes_at_once(stack.tmp()).to_string()),
            ],
        };
        let status = status.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(Self { cloner, stack, ownership, status })
    }

    fn open_layer(&self, layer: Option<&Digest>) -> Result<Option<OwnedFd>> {
        layer.map(|layer| self.stack.open_layer(layer)).transpose()
    }

    fn container_tree(&self, id: &Id) -> Result<OwnedFd> {
        self.stack.open_container(id, ROOT)
    }

    fn compare<T>(&self, id: &Id, with: impl FnOnce(&Trees<'_>) -> archive::Result<T>) -> Result<T> {
        let newer = self.container_tree(id)?;
        let older = self.open_layer(self.stack.container_layer(id)?.as_ref())?;
        Ok(with(&Trees { newer: newer.as_fd(), older: older.as_ref().map(AsFd::as_fd) })?)
    }
}

impl Driver for WholeTrees {
    fn name(&self) -> &'static str {
        self.cloner.driver_name()
    }

    fn status(&self) -> Vec<(String, String)> {
        self.status.clone()
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
        let staging = self.stack.stage(parent)?;
        let cleanup = self.stack.discard(&staging, parent);
        let staged = StagedLayer {
            parent: parent.cloned(),
            path: staging.path,
            root: staging.root,
            whiteouts: Whiteouts::Apply,
            ownership: self.ownership,
            below: Box::new(Mounted(None)),
            root_is_open: false,
            usage: Some(Usage::default()),
            cleanup: Some(cleanup),
        };
        if let Some(below) = self.open_layer(parent)? {
            self.cloner.fill(below.as_fd(), staged.root()).map_err(Error::file("copy to", &staged.path))?;
        }
        Ok(staged)
    }

    fn begin_layer_ahead(&self, _: &Digest, _: Arrival) -> Option<Result<StagedLayer>> {
        None
    }

    fn commit_layer(&self, staged: StagedLayer, chain: &Digest) -> Result<()> {
        self.stack.commit(staged, chain)
    }

    fn remove_layer(&self, chain: &Digest) -> Result<()> {
        self.stack.remove_layer(chain)
    }

    fn layer_usage(&self, chain: &Digest) -> Result<Usage> {
        self.stack.layer_usage(chain)
    }

    fn layer_rootfs(&self, chain: &Digest) -> Result<Rootfs> {
        Ok(Rootfs::Dir { path: self.stack.layer_path(chain)? })
    }

    fn create_container(&self, id: &Id, layer: Option<&Digest>) -> Result<()> {
        let below = self.open_layer(layer)?;
        self.stack.create_container(id, layer, |dir, path| {
            let fail = |operation| Error::file(operation, &path.join(ROOT));
            let like = below.as_ref().map(AsFd::as_fd);
            self.cloner.trees().make(dir, ROOT, like).map_err(fail("mkdir"))?;
            let root = at::open_dir(dir, ROOT.as_bytes()).map_err(fail("open"))?;
            match &below {
                Some(below) => self.cloner.fill(below.as_fd(), root.as_fd()).map_err(fail("copy to")),
                None => fs::fchmod(&root, Mode::from(0o755)).map_err(io::Error::from).map_err(fail("chmod")),
            }
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
        self.stack.container_layer(id)?;
        Ok(Rootfs::Dir { path: self.stack.container_path(id).join(ROOT) })
    }

    fn changes(&self, id: &Id) -> Result<Vec<Change>> {
        self.compare(id, |trees| trees.changes())
    }

    fn diff(&self, id: &Id, out: &mut dyn Write) -> Result<()> {
        self.compare(id, |trees| trees.write_archive(out))
    }

    fn check(&self, repair: bool) -> Result<Vec<Damage>> {
        self.stack.check(repair)
    }

    /// What the tree holds more than the layer below it.
    fn container_usage(&self, id: &Id) -> Result<Usage> {
        let fail = |e| Error::file("walk", &self.stack.container_path(id))(e);
        let own = usage::of_tree(self.container_tree(id)?.as_fd()).map_err(fail)?;
        let below = match self.open_layer(self.stack.container_layer(id)?.as_ref())? {
            Some(below) => usage::of_tree(below.as_fd()).map_err(fail)?,
            None => Usage::default(),
        };
        Ok(Usage {
            bytes: own.bytes.saturating_sub(below.bytes),
            inodes: own.inodes.saturating_sub(below.inodes),
        })
    }
}

#[cfg(test)]
mod tests;
