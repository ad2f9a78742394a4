//! Which containers there are: by ID, by prefix of an ID, by name.

use super::Container;
use crate::Error;
use model::Id;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The engine's containers. Its lock is held only for look-ups, never across a wait.
#[derive(Default)]
pub struct Registry {
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    containers: BTreeMap<Id, Arc<Container>>,
    names: HashMap<String, Id>,
}

/// A name that is taken for a container being made. Given back when dropped, unless [`NameClaim::keep`] was called.
#[must_use]
pub struct NameClaim<'a> {
    registry: &'a Registry,
    name: String,
    kept: bool,
}

impl Registry {
    /// The container a client means: by whole ID, else by name (with or without a leading slash), else by a prefix
    /// of an ID that no other container shares (moby `Daemon.GetContainer`).
    pub fn find(&self, reference: &str) -> Result<Arc<Container>, Error> {
        let missing = || Error::NoSuchContainer { reference: reference.to_owned() };
        let index = self.read();
        let by_name = index.names.get(reference.strip_prefix('/').unwrap_or(reference));
        let exact = reference.parse::<Id>().ok().and_then(|id| index.containers.get(&id));
        if let Some(found) = exact.or_else(|| by_name.and_then(|id| index.containers.get(id))) {
            return Ok(found.clone());
        }
        if let Some((owner, alias)) = reference.strip_prefix('/').unwrap_or(reference).split_once('/') {
            return index.linked(owner, alias).ok_or_else(missing);
        }
        if reference.is_empty() || !reference.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(missing());
        }
        index.by_prefix(reference)?.ok_or_else(missing)
    }

    /// The container with exactly this ID.
    pub fn get(&self, id: &Id) -> Option<Arc<Container>> {
        self.read().containers.get(id).cloned()
    }

    /// The container with exactly this name.
    pub fn named(&self, name: &str) -> Option<Arc<Container>> {
        let index = self.read();
        index.names.get(name).and_then(|id| index.containers.get(id)).cloned()
    }

    /// All containers, in no useful order.
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.read().containers.values().cloned().collect()
    }

    /// Takes `name` for the container `id`.
    ///
    /// # Errors
    /// [`Error::NameInUse`] names the container that has it, or will have it.
    pub fn claim_name(&self, name: &str, id: &Id) -> Result<NameClaim<'_>, Error> {
        let mut index = self.write();
        if let Some(owner) = index.names.get(name) {
            return Err(Error::NameInUse { name: name.to_owned(), owner: owner.to_string() });
        }
        index.names.insert(name.to_owned(), id.clone());
        Ok(NameClaim { registry: self, name: name.to_owned(), kept: false })
    }

    /// Gives up a name after a rename.
    pub fn release_name(&self, name: &str) {
        self.write().names.remove(name);
    }

    /// Makes the container findable; its name was claimed before.
    pub fn insert(&self, container: Arc<Container>) {
        self.write().containers.insert(container.id().clone(), container);
    }

    /// Forgets the container and its name.
    pub fn remove(&self, id: &Id) {
        let mut index = self.write();
        index.containers.remove(id);
        index.names.retain(|_, owner| owner != id);
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// The container that `owner` knows as `alias` by a legacy link.
    fn linked(&self, owner: &str, alias: &str) -> Option<Arc<Container>> {
        let owner = self.containers.get(self.names.get(owner)?)?.record();
        let target = crate::links::target(&owner.host_config, alias)?;
        self.containers.get(&target).cloned()
    }

    fn by_prefix(&self, prefix: &str) -> Result<Option<Arc<Container>>, Error> {
        // IDs sort by their text, so those with the prefix lie together, from the prefix padded with zeros on.
        let Ok(first) = format!("{prefix:0<64}").parse::<Id>() else { return Ok(None) };
        let mut matching = self
            .containers
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(|(id, _)| id.as_str().starts_with(prefix));
        match (matching.next(), matching.next()) {
            (None, _) => Ok(None),
            (Some((_, only)), None) => Ok(Some(only.clone())),
            (Some(_), Some(_)) => Err(Error::AmbiguousContainer { prefix: prefix.to_owned() }),
        }
    }
}

impl NameClaim<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The container exists now, and the name is its own.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NameClaim<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.registry.release_name(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing::container;

    fn registry() -> Registry {
        let registry = Registry::default();
        for (fill, name) in [("ab12", "web"), ("ab34", "db"), ("cd56", "ab")] {
            let id: Id = format!("{fill:0<64}").parse().unwrap();
            registry.claim_name(name, &id).unwrap().keep();
            registry.insert(container(id, name));
        }
        registry
    }

    #[test]
    fn found_by_id_then_name_then_unique_prefix() {
        let registry = registry();
        let name = |r: &str| registry.find(r).map(|c| c.record().name.clone()).map_err(|e| e.to_string());
        assert_eq!(name(&format!("{:0<64}", "ab12")).unwrap(), "web");
        assert_eq!(name("db").unwrap(), "db");
        assert_eq!(name("/db").unwrap(), "db");
        assert_eq!(name("ab3").unwrap(), "db");
        // A name wins over a prefix, even one that fits several.
        assert_eq!(name("ab").unwrap(), "ab");
        assert_eq!(name("a").unwrap_err(), "multiple IDs found with provided prefix: a");
        assert_eq!(name("zz").unwrap_err(), "No such container: zz");
        assert_eq!(name("").unwrap_err(), "No such container: ");
        assert_eq!(name("AB").unwrap_err(), "No such container: AB");
    }

    #[test]
    fn a_claim_is_given_back_unless_kept() {
        let registry = registry();
        let id = Id::random();
        drop(registry.claim_name("new", &id).unwrap());
        let claim = registry.claim_name("new", &id).unwrap();
        let text = registry.claim_name("new", &Id::random()).err().unwrap().to_string();
        assert_eq!(
            text,
            format!(
                "Conflict. The container name \"/new\" is already in use by container \"{id}\". You have to remove \
                 (or rename) that container to be able to reuse that name."
            )
        );
        claim.keep();
        assert!(registry.claim_name("new", &id).is_err());
        registry.remove(&id);
        assert!(registry.claim_name("new", &id).is_ok());
    }
}
