//! Comparing the disk with what is known, while everything goes on.
//!
//! Between the system call that makes or removes a name and the change of the maps there is a moment in which they
//! differ; [`super::Shared::moving`] keeps a check out of it, so that what differs during a check is wrong. Staging
//! directories are not looked at: [`super::Stack::open`] empties them.

use super::{PARENT, Record, Stack};
use crate::{Damage, Damaged, Error, Result};
use archive::at;
use model::Id;
use rustix::fs::{self, AtFlags};
use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::PoisonError,
};

impl Stack {
    /// What is missing and what is left over. With `repair`, leftovers are removed, records that were lost are written
    /// again, and layers without files are forgotten when nothing stands on them.
    ///
    /// # Errors
    /// [`Error::File`] when the driver's own directories cannot be read.
    pub fn check(&self, repair: bool) -> Result<Vec<Damage>> {
        let _no_moves = self.shared.moving.write().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        self.check_layers(repair, &mut found)?;
        self.check_containers(repair, &mut found)?;
        Ok(found)
    }

    fn check_layers(&self, repair: bool, found: &mut Vec<Damage>) -> Result<()> {
        let (dirs, root) = (&self.shared.dirs, &self.shared.root);
        let (files, records) =
            (names(&dirs.layers, &root.join("l"))?, names(&dirs.records, &root.join("layers"))?);
        let layers = self.state().layers.clone();
        for (chain, record) in &layers {
            let name = Record::name(chain);
            let mut damaged = |problem: &str, repair: Option<Result<()>>| {
                found.push(Damage::new(Damaged::Layer(chain.clone()), problem, repair));
            };
            if !files.contains(&record.dir) {
                damaged("its files are gone", repair.then(|| self.forget(chain)));
            } else if Record::read(dirs.records.as_fd(), &name).ok().as_ref() != Some(record) {
                damaged(
                    "its record is gone or is not what was written",
                    repair.then(|| self.write_again(chain, record)),
                );
            }
        }
        let known: HashSet<String> = layers.values().map(|record| record.dir.clone()).collect();
        let known_records: HashSet<String> = layers.keys().map(Record::name).collect();
        for (place, dir, names, known) in
            [("l", &dirs.layers, files, known), ("layers", &dirs.records, records, known_records)]
        {
            for name in names.difference(&known) {
                found.push(self.leftover(dir, &root.join(place).join(name), name, repair));
            }
        }
        Ok(())
    }

    fn check_containers(&self, repair: bool, found: &mut Vec<Damage>) -> Result<()> {
        let (dirs, path) = (&self.shared.dirs, self.shared.root.join("c"));
        let on_disk = names(&dirs.containers, &path)?;
        let known: HashSet<Id> = self.state().containers.keys().cloned().collect();
        for name in &on_disk {
            let has_parent = fs::readlinkat(&dirs.containers, format!("{name}/{PARENT}"), Vec::new()).is_ok();
            match name.parse::<Id>() {
                Ok(id) if known.contains(&id) => {}
                // Its data may still be wanted, which only a person knows.
                Ok(id) if has_parent => {
                    found.push(Damage::new(Damaged::Container(id), "the layer below it is missing", None));
                }
                _ => found.push(self.leftover(&dirs.containers, &path.join(name), name, repair)),
            }
        }
        let gone = known.into_iter().filter(|id| !on_disk.contains(id.as_str()));
        let damage =
            |id| Damage::new(Damaged::Container(id), "its files are gone; remove the container", None);
        found.extend(gone.map(damage));
        Ok(())
    }

    fn leftover(&self, dir: &OwnedFd, path: &Path, name: &str, repair: bool) -> Damage {
        let repair = repair.then(|| {
            self.shared.trees.remove(dir.as_fd(), name.as_bytes()).map_err(Error::file("remove", path))
        });
        Damage::new(Damaged::Leftover(path.to_owned()), "nothing uses it", repair)
    }

    fn forget(&self, chain: &model::Digest) -> Result<()> {
        let mut state = self.state();
        if let Some(user) = state.user_of(chain) {
            return Err(Error::LayerInUse { layer: chain.clone(), user });
        }
        let name = Record::name(chain);
        match fs::unlinkat(&self.shared.dirs.records, &name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => {
                return Err(Error::file("unlink", &self.shared.root.join("layers").join(name))(e.into()));
            }
        }
        state.layers.remove(chain);
        Ok(())
    }

    fn write_again(&self, chain: &model::Digest, record: &Record) -> Result<()> {
        let dirs = &self.shared.dirs;
        let draft = format!("{}.json", Id::random().short());
        let path = self.tmp_path().join(&draft);
        record.write(dirs.tmp.as_fd(), &draft).map_err(Error::file("write", &path))?;
        fs::syncfs(&dirs.tmp).map_err(io::Error::from).map_err(Error::file("syncfs", &path))?;
        fs::renameat(&dirs.tmp, &draft, &dirs.records, Record::name(chain))
            .and_then(|()| fs::fsync(&dirs.records))
            .map_err(io::Error::from)
            .map_err(Error::file("rename", &path))
    }
}

fn names(dir: &OwnedFd, path: &Path) -> Result<HashSet<String>> {
    let names = at::names(dir.as_fd()).map_err(Error::file("read", path))?;
    Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}
