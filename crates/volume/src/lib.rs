//! Volumes of the driver `local`: directories that outlive containers.
//!
//! A volume is a record in the store and a directory, `volumes/NAME/_data`. With options (`type`, `device`, `o`) a file
//! system is mounted on `_data` while a running container uses it.
//!
//! # Who uses a volume
//! *Holding* a volume keeps it from being removed; a container holds its volumes from its creation to its removal.
//! *Mounting* is for running containers. Both are kept in memory only: the engine holds and mounts again for the
//! containers that it finds when it starts, before it answers its first request.
//!
//! # Invariants
//! * The directory decides: a record comes before it is made and goes after it was renamed out of the way, so a record
//!   without a directory is a creation or removal that was cut short, and is dropped at the next start.
//! * A directory without a record (the database was lost) is a volume without labels; its data is never touched.
//!
//! All functions block; callers on an event loop use a thread for them.
#![forbid(unsafe_code)]

mod dirs;
mod error;
mod mounting;
mod name;
mod options;
mod size;

pub use error::{Error, MountFailure, Result};
pub use name::{ANONYMOUS_LABEL, InvalidName};
pub use options::{InvalidOption, MountSpec};

use model::{Id, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};
use store::{Collection, Store};

/// The name of the one driver there is.
pub const DRIVER: &str = "local";

/// A volume's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub created: Timestamp,
    pub labels: BTreeMap<String, String>,
    /// As given: `type`, `device`, `o`.
    pub options: BTreeMap<String, String>,
}

impl Volume {
    /// Whether it was made without a name, for one container.
    pub fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS_LABEL)
    }
}

/// What [`Volumes::create`] is asked for.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// Empty: anonymous, under a random name.
    pub name: String,
    /// Empty or [`DRIVER`].
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

/// All volumes.
pub struct Volumes {
    root: PathBuf,
    records: Collection<Volume>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    volumes: BTreeMap<String, Volume>,
    holders: BTreeMap<String, BTreeSet<Id>>,
    /// Running containers by volume, for those volumes that need a mount.
    mounts: BTreeMap<String, BTreeSet<Id>>,
}

impl Volumes {
    /// Reads the records, completes removals that were cut short, and finds directories that have no record.
    pub fn open(store: &Store, root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let records = store.collection::<Volume>("volumes");
        let mut known: BTreeMap<_, _> = records.list()?.into_iter().collect();
        let mut volumes = BTreeMap::new();
        for found in dirs::scan(&root)? {
            let volume = known.remove(&found.name).unwrap_or(found);
            volumes.insert(volume.name.clone(), volume);
        }
        for name in known.keys() {
            records.delete(name)?;
        }
        Ok(Self { root, records, state: Mutex::new(State { volumes, ..State::default() }) })
    }

    /// Makes a volume, or returns the one of that name. With a `holder`, no removal can come in between.
    ///
    /// As in Docker, options and labels of an existing volume are left as they are.
    pub fn create(&self, new: NewVolume, holder: Option<&Id>) -> Result<Volume> {
        let (name, anonymous) =
            if new.name.is_empty() { (Id::random().to_string(), true) } else { (new.name, false) };
        let failed = |reason| Error::Create { name: name.clone(), reason };
        if !new.driver.is_empty() && new.driver != DRIVER {
            return Err(Error::UnknownDriver { name, driver: new.driver });
        }
        let mut state = self.lock();
        if !state.volumes.contains_key(&name) {
            name::validate(&name).map_err(|e| failed(e.into()))?;
            options::validate(&new.options).map_err(|e| failed(e.into()))?;
            let mut labels = new.labels;
            if anonymous {
                labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
            }
            let volume =
                Volume { name: name.clone(), created: Timestamp::now(), labels, options: new.options };
            self.records.put(&name, &volume)?;
            if let Err(error) = dirs::make(&self.root, &name) {
                self.records.delete(&name)?;
                return Err(error);
            }
            state.volumes.insert(name.clone(), volume);
        }
        if let Some(holder) = holder {
            state.holders.entry(name.clone()).or_default().insert(holder.clone());
        }
        Ok(state.volumes[&name].clone())
    }

    pub fn get(&self, name: &str) -> Result<Volume> {
        self.lock().volumes.get(name).cloned().ok_or_else(|| Error::NotFound { name: name.to_owned() })
    }

    /// All volumes, by name.
    pub fn list(&self) -> Vec<Volume> {
        self.lock().volumes.values().cloned().collect()
    }

    /// Where its files are, whether or not it exists.
    pub fn mountpoint(&self, name: &str) -> PathBuf {
        dirs::data(&self.root, name)
    }

    /// Removes a volume that nobody holds, and its files.
    pub fn remove(&self, name: &str) -> Result<()> {
        let gone = {
            let mut state = self.lock();
            let Some(volume) = state.volumes.get(name) else {
                return Err(Error::NotFound { name: name.to_owned() });
            };
            if let Some(holders) = state.holders.get(name).filter(|holders| !holders.is_empty()) {
                return Err(Error::InUse {
                    name: name.to_owned(),
                    holders: holders.iter().cloned().collect(),
                });
            }
            if MountSpec::of(&volume.options).is_some() {
                mounting::unmount(name, &dirs::data(&self.root, name))?;
            }
            let gone = dirs::set_aside(&self.root, name)?;
            self.records.delete(name)?;
            state.volumes.remove(name);
            state.mounts.remove(name);
            gone
        };
        gone.map_or(Ok(()), |gone| dirs::delete(&gone))
    }

    /// Keeps `name` from being removed until [`Volumes::release`].
    pub fn hold(&self, name: &str, container: &Id) -> Result<()> {
        let mut state = self.lock();
        if !state.volumes.contains_key(name) {
            return Err(Error::NotFound { name: name.to_owned() });
        }
        state.holders.entry(name.to_owned()).or_default().insert(container.clone());
        Ok(())
    }

    pub fn release(&self, name: &str, container: &Id) {
        let mut state = self.lock();
        if let Some(holders) = state.holders.get_mut(name) {
            holders.remove(container);
            if holders.is_empty() {
                state.holders.remove(name);
            }
        }
    }

    /// The containers that hold it.
    pub fn holders(&self, name: &str) -> Vec<Id> {
        self.lock().holders.get(name).into_iter().flatten().cloned().collect()
    }

    /// Makes the files of a volume available to a container that is about to start; returns where they are.
    ///
    /// Mounts the file system its options ask for unless another container's start has. Repeating it is harmless.
    pub fn mount(&self, name: &str, container: &Id) -> Result<PathBuf> {
        let mut state = self.lock();
        let Some(volume) = state.volumes.get(name) else {
            return Err(Error::NotFound { name: name.to_owned() });
        };
        let path = dirs::data(&self.root, name);
        let Some(spec) = MountSpec::of(&volume.options) else { return Ok(path) };
        // Asked of the kernel, not remembered: the mount namespace outlives an engine that was killed.
        if !mounting::is_mounted(&path)? {
            mounting::mount(name, &spec, &path)?;
        }
        state.mounts.entry(name.to_owned()).or_default().insert(container.clone());
        Ok(path)
    }

    /// The container has stopped. The last one unmounts.
    pub fn unmount(&self, name: &str, container: &Id) -> Result<()> {
        let mut state = self.lock();
        let Some(users) = state.mounts.get_mut(name) else { return Ok(()) };
        users.remove(container);
        if !users.is_empty() {
            return Ok(());
        }
        state.mounts.remove(name);
        mounting::unmount(name, &dirs::data(&self.root, name))
    }

    /// Volumes whose directory is gone and, with `repair`, what came of making an empty one.
    pub fn check(&self, repair: bool) -> Vec<(String, Option<Result<()>>)> {
        let state = self.lock();
        let gone = state.volumes.keys().filter(|name| !dirs::data(&self.root, name).is_dir());
        let made = |name: &String| repair.then(|| dirs::make(&self.root, name));
        gone.map(|name| (name.clone(), made(name))).collect()
    }

    /// Bytes that its files occupy; none for a volume with options, whose files are not here.
    pub fn size(&self, name: &str) -> Result<Option<u64>> {
        let volume = self.get(name)?;
        if !volume.options.is_empty() {
            return Ok(None);
        }
        size::of(&dirs::data(&self.root, name)).map(Some)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one insertion or removal, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
