//! What drivers share: layers and containers on disk, who stands on what, and committing so that power may fail.
//!
//! # On disk
//! ```text
//! <driver>/l/SHORT/            a layer's files; SHORT is random, because overlay mounts name up to 500 of them
//!          layers/CHAIN.json   its record; the layer exists when this does
//!          c/ID/               what the driver keeps for a container, and in it
//!          c/ID/parent         a symbolic link to `../../l/SHORT` or `nothing`: the container exists when this does
//!          tmp/                what is being made or removed; emptied at open
//! ```
//! A symbolic link as a container's record is one system call and is atomic, also over a power failure: its target is
//! in the inode or in a block of the same journal transaction, while a small file could be found empty. It tells a
//! person what the container stands on, too.
//!
//! # In memory
//! One lock around two maps, held for look-ups and for the one rename that makes a layer visible, never for I/O whose
//! duration depends on a layer. A name is *reserved* in the maps before its files are made and freed when they are
//! out of the way, so no second caller gets in between.

mod check;
mod open;
mod record;
mod stage;
mod trees;

use crate::{Error, Result, StagedLayer, Usage};
use archive::at;
use model::{Digest, Id};
use record::Record;
use rustix::fs::{self, Mode, OFlags, RenameFlags};
pub use stage::Staging;
use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};
pub use trees::{ROOT, Trees};

/// The layers and containers of one driver.
#[derive(Clone)]
pub struct Stack {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    trees: Trees,
    dirs: Dirs,
    state: Mutex<State>,
    /// Shared while a name is on disk and not known, or the other way round: for moments.
    moving: RwLock<()>,
}

/// The driver's directories, held open.
struct Dirs {
    layers: OwnedFd,
    records: OwnedFd,
    containers: OwnedFd,
    tmp: OwnedFd,
}

#[derive(Default)]
struct State {
    layers: HashMap<Digest, Record>,
    containers: HashMap<Id, Option<Digest>>,
    /// Layers that staged ones stand on, and how many do.
    staged_on: HashMap<Digest, usize>,
}

impl Stack {
    fn state(&self) -> MutexGuard<'_, State> {
        // The maps are changed by single inserts and removals, so a panic elsewhere leaves them whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while what is on disk and what is known differ; see [`check`].
    fn moving(&self) -> RwLockReadGuard<'_, ()> {
        self.shared.moving.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tmp(&self) -> BorrowedFd<'_> {
        self.shared.dirs.tmp.as_fd()
    }

    pub fn tmp_path(&self) -> PathBuf {
        self.shared.root.join("tmp")
    }

    pub fn layer_exists(&self, chain: &Digest) -> bool {
        self.state().layers.contains_key(chain)
    }

    pub fn layers(&self) -> Vec<Digest> {
        self.state().layers.keys().cloned().collect()
    }

    pub fn layer_parent(&self, chain: &Digest) -> Result<Option<Digest>> {
        Ok(self.state().record(chain)?.parent.clone())
    }

    pub fn layer_usage(&self, chain: &Digest) -> Result<Usage> {
        Ok(self.state().record(chain)?.usage)
    }

    /// Directories of the layer and of those below it, topmost first.
    pub fn chain_paths(&self, chain: &Digest) -> Result<Vec<PathBuf>> {
        let state = self.state();
        let mut paths = Vec::new();
        let mut next = Some(chain);
        while let Some(chain) = next {
            let record = state.record(chain)?;
            paths.push(self.layer_dir(&record.dir));
            next = record.parent.as_ref();
        }
        Ok(paths)
    }

    /// The layer's own directory.
    pub fn layer_path(&self, chain: &Digest) -> Result<PathBuf> {
        Ok(self.layer_dir(&self.state().record(chain)?.dir))
    }

    /// Opens the layer's own directory.
    pub fn open_layer(&self, chain: &Digest) -> Result<OwnedFd> {
        let path = self.layer_path(chain)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = fs::openat(fs::CWD, &path, flags, Mode::empty()).map_err(io::Error::from);
        dir.map_err(Error::file("open", &path))
    }

    fn layer_dir(&self, short: &str) -> PathBuf {
        self.shared.root.join("l").join(short)
    }

    /// Writes a staged layer to the disk and then makes it visible.
    pub fn commit(&self, mut staged: StagedLayer, chain: &Digest) -> Result<()> {
        let usage = match staged.usage {
            Some(usage) => usage,
            None => crate::usage::of_tree(staged.root()).map_err(Error::file("walk", &staged.path))?,
        };
        if self.layer_exists(chain) {
            return Err(Error::LayerExists(chain.clone()));
        }
        let short = staged.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let record = Record { dir: short, parent: staged.parent.clone(), usage };
        self.move_in(&staged, &record, chain)?;
        // From here on the directory is the layer's, and not the staged value's to remove.
        if let Some(cleanup) = staged.cleanup.take() {
            drop(cleanup);
            self.unstage(staged.parent.as_ref());
        }
        Ok(())
    }

    fn move_in(&self, staged: &StagedLayer, record: &Record, chain: &Digest) -> Result<()> {
        let dirs = &self.shared.dirs;
        let path = self.layer_dir(&record.dir);
        let draft = format!("{}.json", record.dir);
        record
            .write(dirs.tmp.as_fd(), &draft)
            .map_err(Error::file("write", &self.tmp_path().join(&draft)))?;
        // One flush for all of the layer's files, before anything names them; syncfs(2) reports write-back errors
        // since Linux 5.8.
        let synced =
            fs::syncfs(staged.root()).map_err(io::Error::from).map_err(Error::file("syncfs", &staged.path));
        let _moving = self.moving();
        let moved = synced.and_then(|()| {
            fs::renameat_with(&dirs.tmp, &record.dir, &dirs.layers, &record.dir, RenameFlags::NOREPLACE)
                .map_err(io::Error::from)
                .map_err(Error::file("rename", &path))
        });
        let named = moved.and_then(|()| {
            self.name_layer(record, chain, &draft).inspect_err(|_| {
                // Back to where the staged value removes it.
                if let Err(error) = fs::renameat(&dirs.layers, &record.dir, &dirs.tmp, &record.dir) {
                    tracing::warn!(path = %path.display(), %error, "an uncommitted layer stays until the next start");
                }
            })
        });
        if let Err(error) = named {
            at::remove_tree(self.tmp(), draft.as_bytes()).map_err(Error::file("remove", &self.tmp_path()))?;
            return Err(error);
        }
        for dir in [&dirs.layers, &dirs.records] {
            fs::fsync(dir).map_err(io::Error::from).map_err(Error::file("fsync", &path))?;
        }
        Ok(())
    }

    fn name_layer(&self, record: &Record, chain: &Digest, draft: &str) -> Result<()> {
        let dirs = &self.shared.dirs;
        let mut state = self.state();
        if state.layers.contains_key(chain) {
            return Err(Error::LayerExists(chain.clone()));
        }
        // One that was staged ahead of it.
        record.parent.as_ref().map(|parent| state.record(parent)).transpose()?;
        fs::renameat(&dirs.tmp, draft, &dirs.records, Record::name(chain))
            .map_err(io::Error::from)
            .map_err(Error::file("rename", &self.shared.root.join("layers").join(Record::name(chain))))?;
        state.layers.insert(chain.clone(), record.clone());
        Ok(())
    }

    /// Forgets a layer, then removes its files.
    pub fn remove_layer(&self, chain: &Digest) -> Result<()> {
        let dirs = &self.shared.dirs;
        let moving = self.moving();
        let record = {
            let mut state = self.state();
            let record = state.record(chain)?.clone();
            if let Some(user) = state.user_of(chain) {
                return Err(Error::LayerInUse { layer: chain.clone(), user });
            }
            let name = Record::name(chain);
            fs::unlinkat(&dirs.records, &name, fs::AtFlags::empty())
                .map_err(io::Error::from)
                .map_err(Error::file("unlink", &self.shared.root.join("layers").join(&name)))?;
            state.layers.remove(chain);
            record
        };
        let path = self.layer_dir(&record.dir);
        let doomed = self.set_aside(dirs.layers.as_fd(), &record.dir, &path)?;
        drop(moving);
        self.remove_doomed(&doomed, &path)
    }

    /// Reserves the container's name and its layer, lets `fill` make what belongs into its directory, and records it.
    pub fn create_container(
        &self,
        id: &Id,
        layer: Option<&Digest>,
        fill: impl FnOnce(BorrowedFd<'_>, &Path) -> Result<()>,
    ) -> Result<()> {
        let path = self.container_path(id);
        let moving = self.moving();
        let target = {
            let mut state = self.state();
            let target = match layer {
                Some(layer) => format!("../../l/{}", state.record(layer)?.dir),
                None => NOTHING.to_owned(),
            };
            if state.containers.contains_key(id) {
                return Err(Error::ContainerExists(id.clone()));
            }
            state.containers.insert(id.clone(), layer.cloned());
            target
        };
        let containers = self.shared.dirs.containers.as_fd();
        let directory = fs::mkdirat(containers, id.as_str(), Mode::from(0o700));
        drop(moving);
        let made = directory
            .map_err(io::Error::from)
            .map_err(Error::file("mkdir", &path))
            .and_then(|()| self.make_container(id, &path, &target, fill));
        if made.is_err() {
            if let Err(error) = self.shared.trees.remove(containers, id.as_str().as_bytes()) {
                tracing::warn!(path = %path.display(), %error, "half a container stays until the next start");
            }
            self.state().containers.remove(id);
        }
        made
    }

    fn make_container(
        &self,
        id: &Id,
        path: &Path,
        target: &str,
        fill: impl FnOnce(BorrowedFd<'_>, &Path) -> Result<()>,
    ) -> Result<()> {
        let containers = self.shared.dirs.containers.as_fd();
        let dir = at::open_dir(containers, id.as_str().as_bytes()).map_err(Error::file("open", path))?;
        fill(dir.as_fd(), path)?;
        fs::symlinkat(target, &dir, PARENT)
            .map_err(io::Error::from)
            .map_err(Error::file("symlink", &path.join(PARENT)))
    }

    /// Moves the container's directory out of the way, forgets it, and removes it.
    pub fn remove_container(&self, id: &Id) -> Result<()> {
        self.container_layer(id)?;
        let path = self.container_path(id);
        let moving = self.moving();
        let doomed = match self.set_aside(self.shared.dirs.containers.as_fd(), id.as_str(), &path) {
            Ok(doomed) => Some(doomed),
            // Another caller was faster with the files.
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.state().containers.remove(id);
        drop(moving);
        doomed.map_or(Ok(()), |doomed| self.remove_doomed(&doomed, &path))
    }

    pub fn containers(&self) -> Vec<Id> {
        self.state().containers.keys().cloned().collect()
    }

    pub fn container_layer(&self, id: &Id) -> Result<Option<Digest>> {
        self.state().containers.get(id).cloned().ok_or_else(|| Error::NoSuchContainer(id.clone()))
    }

    pub fn container_path(&self, id: &Id) -> PathBuf {
        self.shared.root.join("c").join(id.as_str())
    }

    /// Opens a directory of the container's own.
    pub fn open_container(&self, id: &Id, name: &str) -> Result<OwnedFd> {
        self.container_layer(id)?;
        let path = self.container_path(id).join(name);
        let dir = at::open_dir(self.shared.dirs.containers.as_fd(), id.as_str().as_bytes())
            .map_err(Error::file("open", &path))?;
        at::open_dir(dir.as_fd(), name.as_bytes()).map_err(Error::file("open", &path))
    }

    /// Moves a tree out of sight, so that a crash half-way leaves nothing that looks like a layer or container.
    fn set_aside(&self, from: BorrowedFd<'_>, name: &str, path: &Path) -> Result<String> {
        let doomed = format!("rm-{}", Id::random().short());
        fs::renameat(from, name, self.tmp(), &doomed)
            .map_err(io::Error::from)
            .map_err(Error::file("rename", path))?;
        Ok(doomed)
    }

    fn remove_doomed(&self, doomed: &str, path: &Path) -> Result<()> {
        self.shared.trees.remove(self.tmp(), doomed.as_bytes()).map_err(Error::file("remove", path))
    }
}

impl State {
    fn record(&self, chain: &Digest) -> Result<&Record> {
        self.layers.get(chain).ok_or_else(|| Error::NoSuchLayer(chain.clone()))
    }

    fn user_of(&self, chain: &Digest) -> Option<String> {
        let above = self.layers.iter().find(|(_, record)| record.parent.as_ref() == Some(chain));
        let container = self.containers.iter().find(|(_, layer)| layer.as_ref() == Some(chain));
        match (above, container) {
            (Some((layer, _)), _) => Some(format!("layer {layer}")),
            (None, Some((id, _))) => Some(format!("container {id}")),
            (None, None) => {
                self.staged_on.contains_key(chain).then(|| "a layer that is being unpacked".to_owned())
            }
        }
    }
}

/// Name of a container's record.
const PARENT: &str = "parent";
/// Its target for a container that stands on no layer.
const NOTHING: &str = "nothing";
