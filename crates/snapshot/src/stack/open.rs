//! Opening: reading what is there and collecting what a crash left.

use super::{Dirs, NOTHING, PARENT, Record, Shared, Stack, State, Trees};
use crate::{Error, Result};
use archive::at;
use model::{Digest, Id};
use rustix::{
    fs::{self, CWD, Mode, OFlags},
    io::Errno,
};
use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{Arc, Mutex, RwLock},
};

impl Stack {
    /// Opens the driver's directory, which is made when it does not exist.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Record`] for a file among the records that is none.
    pub fn open(root: &Path, trees: Trees) -> Result<Self> {
        let dirs = open_dirs(root)?;
        empty(dirs.tmp.as_fd(), &root.join("tmp"), trees)?;
        let layers = read_layers(&dirs, root)?;
        collect_layers(&dirs, root, &layers, trees)?;
        let containers = read_containers(&dirs, root, &layers, trees)?;
        let state = State { layers, containers, staged_on: HashMap::new() };
        Ok(Self {
            shared: Arc::new(Shared {
                root: root.to_owned(),
                trees,
                dirs,
                state: Mutex::new(state),
                moving: RwLock::new(()),
            }),
        })
    }
}

fn open_dirs(root: &Path) -> Result<Dirs> {
    std::fs::create_dir_all(root).map_err(Error::file("mkdir", root))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = fs::openat(CWD, root, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(Error::file("open", root))?;
    // Others on the machine must not reach the set-user-ID files of images (moby CVE-2021-41091).
    fs::fchmod(&top, Mode::from(0o700)).map_err(io::Error::from).map_err(Error::file("chmod", root))?;
    let inner = |name: &str| -> Result<OwnedFd> {
        let path = root.join(name);
        match fs::mkdirat(&top, name, Mode::from(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(Error::file("mkdir", &path)(e.into())),
        }
        at::open_dir(top.as_fd(), name.as_bytes()).map_err(Error::file("open", &path))
    };
    Ok(Dirs { layers: inner("l")?, records: inner("layers")?, containers: inner("c")?, tmp: inner("tmp")? })
}

fn empty(dir: BorrowedFd<'_>, path: &Path, trees: Trees) -> Result<()> {
    for name in at::names(dir).map_err(Error::file("read", path))? {
        trees.remove(dir, name.to_bytes()).map_err(Error::file("remove", path))?;
    }
    Ok(())
}

fn names(dir: &OwnedFd, path: &Path) -> Result<Vec<String>> {
    let names = at::names(dir.as_fd()).map_err(Error::file("read", path))?;
    Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

fn read_layers(dirs: &Dirs, root: &Path) -> Result<HashMap<Digest, Record>> {
    let path = root.join("layers");
    let mut layers = HashMap::new();
    for name in names(&dirs.records, &path)? {
        let unreadable = |reason: String| Error::Record { path: path.join(&name), reason };
        let chain = Record::chain(&name).ok_or_else(|| unreadable("its name is no chain ID".into()))?;
        match Record::read(dirs.records.as_fd(), &name) {
            Ok(record) => drop(layers.insert(chain, record)),
            // No write of ours leaves half a record, but disks do. An engine that starts without the layer is worth
            // more than one that does not start; images that need it are told to be pulled again.
            Err(error) if is_content(&error) => {
                tracing::error!(layer = %chain, %error, "its record cannot be read: the layer is forgotten");
                fs::unlinkat(&dirs.records, &name, fs::AtFlags::empty())
                    .map_err(io::Error::from)
                    .map_err(Error::file("unlink", &path.join(&name)))?;
            }
            Err(error) => return Err(unreadable(error.to_string())),
        }
    }
    forget_broken(dirs, root, layers)
}

/// Whether a file was read, and is not what was written.
fn is_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Drops the records of layers whose files or parents are not there.
fn forget_broken(
    dirs: &Dirs,
    root: &Path,
    mut layers: HashMap<Digest, Record>,
) -> Result<HashMap<Digest, Record>> {
    let path = root.join("layers");
    // Removing syncs nothing, so after a power failure a record may be back whose files or parent are not.
    let present: HashSet<String> = names(&dirs.layers, &root.join("l"))?.into_iter().collect();
    loop {
        let broken = |(_, r): &(&Digest, &Record)| {
            !present.contains(&r.dir) || r.parent.as_ref().is_some_and(|p| !layers.contains_key(p))
        };
        let Some(chain) = layers.iter().find(broken).map(|(chain, _)| chain.clone()) else {
            return Ok(layers);
        };
        tracing::warn!(layer = %chain, "its files or its parent are missing: the layer is forgotten");
        let name = Record::name(&chain);
        fs::unlinkat(&dirs.records, &name, fs::AtFlags::empty())
            .map_err(io::Error::from)
            .map_err(Error::file("unlink", &path.join(&name)))?;
        layers.remove(&chain);
    }
}

/// Removes layer directories without a record: commits and removals that a crash cut short.
fn collect_layers(dirs: &Dirs, root: &Path, layers: &HashMap<Digest, Record>, trees: Trees) -> Result<()> {
    let path = root.join("l");
    let known: HashSet<&str> = layers.values().map(|record| record.dir.as_str()).collect();
    for name in names(&dirs.layers, &path)? {
        if !known.contains(name.as_str()) {
            tracing::info!(path = %path.join(&name).display(), "removing a layer that was never committed");
            trees
                .remove(dirs.layers.as_fd(), name.as_bytes())
                .map_err(Error::file("remove", &path.join(&name)))?;
        }
    }
    Ok(())
}

fn read_containers(
    dirs: &Dirs,
    root: &Path,
    layers: &HashMap<Digest, Record>,
    trees: Trees,
) -> Result<HashMap<Id, Option<Digest>>> {
    let path = root.join("c");
    let by_dir: HashMap<&str, &Digest> = layers.iter().map(|(chain, r)| (r.dir.as_str(), chain)).collect();
    let mut containers = HashMap::new();
    for name in names(&dirs.containers, &path)? {
        let parent = format!("{name}/{PARENT}");
        let target = match fs::readlinkat(&dirs.containers, parent.as_str(), Vec::new()) {
            Ok(target) => Some(target.to_string_lossy().into_owned()),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::INVAL) => None,
            Err(e) => return Err(Error::file("readlink", &path.join(parent))(e.into())),
        };
        let layer = target.as_deref().and_then(|target| match target {
            NOTHING => Some(None),
            other => by_dir.get(other.strip_prefix("../../l/")?).map(|chain| Some((*chain).clone())),
        });
        match (name.parse::<Id>(), layer) {
            (Ok(id), Some(layer)) => drop(containers.insert(id, layer)),
            (Ok(id), None) if target.is_some() => {
                // Its data may still be wanted: not removed, and not usable.
                tracing::error!(container = %id, "the layer below this container is missing");
            }
            _ => {
                tracing::info!(path = %path.join(&name).display(), "removing half a container");
                trees
                    .remove(dirs.containers.as_fd(), name.as_bytes())
                    .map_err(Error::file("remove", &path.join(&name)))?;
            }
        }
    }
    Ok(containers)
}
