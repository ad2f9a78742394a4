//! Taking a container's network down, and `docker rename`.

use crate::{
    error::{Error, Result},
    names,
    networks::Networks,
    plumbing,
};
use model::Id;
use std::{os::fd::AsFd, sync::Arc};

impl Networks {
    /// Takes a container's network down. Ports are free again when it returns, addresses shortly after; the
    /// namespace itself goes when its last process does, and is not waited for. Unknown containers are no error.
    pub fn stop(&self, container: &Id) -> Result<()> {
        let Some(sandbox) = self.books().sandboxes.remove(container) else { return Ok(()) };
        let record = sandbox.record;
        let mut errors = Vec::new();
        errors.extend(self.forbid(&record).err());
        errors.extend(self.withdraw(&record.ports).err());
        errors.extend(self.deafen(&record).err());
        errors.extend(plumbing::unplug_from_parents(sandbox.netns.as_fd(), &record.endpoints).err());
        self.reaper.take(container, record.endpoints);
        errors.extend(self.sandboxes.delete(container.as_str()).err().map(Error::from));
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Error::TearDown { what: record.container_name, errors }),
        }
    }

    /// `docker rename` of a running container: it answers to the new name from now on, and no longer to the old one.
    pub fn rename(&self, container: &Id, name: &str) -> Result<()> {
        let mut books = self.books();
        let Some(sandbox) = books.sandboxes.get_mut(container) else { return Ok(()) };
        let old = std::mem::replace(&mut sandbox.record.container_name, name.to_owned());
        let hostname = sandbox.record.hostname.clone();
        let stays = |name: &String, aliases: &[String]| aliases.contains(name) || *name == hostname;
        for endpoint in &mut sandbox.record.endpoints {
            if !endpoint.dns_names.is_empty() {
                let kept =
                    endpoint.dns_names.iter().filter(|n| **n != old || stays(n, &endpoint.aliases)).cloned();
                endpoint.dns_names = names::distinct([name.to_owned()].into_iter().chain(kept));
            }
        }
        let (record, netns) = (sandbox.record.clone(), Arc::clone(&sandbox.netns));
        drop(books);
        self.sandboxes.put(container.as_str(), &record)?;
        self.announce(&record, &netns)
    }
}
