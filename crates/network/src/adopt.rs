//! After an engine restart: the sandboxes of containers that ran on.

use crate::{
    books::LiveSandbox,
    error::{Error, Result},
    netns,
    networks::Networks,
    plumbing,
    ports::Target,
    record::{Endpoint, SandboxRecord},
};
use ipnet::IpNet;
use model::Id;
use std::{collections::BTreeSet, os::fd::OwnedFd, sync::Arc};

impl Networks {
    /// After an engine restart: takes the sandbox of a container that still runs back into the books, `netns` being
    /// its namespace (`/proc/<init>/ns/net`). Returns none when the records know no such sandbox, or another one.
    pub fn adopt(&self, container: &Id, netns: OwnedFd) -> Result<Option<SandboxRecord>> {
        let inode = netns::inode(&netns)?;
        let mut books = self.books();
        let fits = books.unadopted.get(container).is_some_and(|record| record.netns_inode == inode);
        // One that does not fit stays for [`Networks::settle`] to clear away.
        let Some(record) = fits.then(|| books.unadopted.remove(container)).flatten() else { return Ok(None) };
        let netns = Arc::new(netns);
        let sandbox = LiveSandbox { record: record.clone(), netns: Arc::clone(&netns) };
        books.sandboxes.insert(container.clone(), sandbox);
        drop(books);
        self.host_ports.adopt(container, &record.ports);
        let target = Target::of(container, &record.endpoints);
        let ports: Result<Vec<_>, _> = record.ports.iter().map(|port| target.port(port)).collect();
        match ports {
            Ok(ports) => self.forwarder.adopt(ports),
            Err(error) => {
                tracing::warn!(%error, container = container.short(), "a published port leads nowhere")
            }
        }
        self.allow(&record)?;
        // The forwarder may be a new one. Without names the container still runs: its engine must not fail to start.
        if let Err(error) = self.announce(&record, &netns) {
            tracing::warn!(%error, container = container.short(), "an adopted container finds others by address only");
        }
        Ok(Some(match record.changing.clone() {
            Some(endpoint) => self.finish_change(record, &endpoint),
            None => record,
        }))
    }

    /// An engine died while it connected or disconnected a container: the endpoint goes, whatever is there of it.
    fn finish_change(&self, record: SandboxRecord, endpoint: &Endpoint) -> SandboxRecord {
        let container = record.container.clone();
        let was_on = record.endpoints.iter().any(|e| e.id == endpoint.id);
        let mut before = record.clone();
        if !was_on {
            before.endpoints.push(endpoint.clone());
        }
        // One that was to be connected took its addresses from books that are no more.
        if let Err(error) = self.take_off(before, endpoint, was_on) {
            let (container, network) = (container.short(), &endpoint.network_name);
            tracing::error!(%error, container, network, "cannot finish a change of a container's networks");
        }
        self.sandbox(&container).unwrap_or(record)
    }

    /// Ends adoption: drops the records, veth pairs and published ports of sandboxes that were not adopted, and
    /// publishes again what the forwarder has lost meanwhile.
    pub fn settle(&self) -> Result<()> {
        let dead = std::mem::take(&mut self.books().unadopted);
        let mut errors: Vec<Error> = Vec::new();
        for (container, record) in dead {
            errors.extend(self.forbid(&record).err());
            errors.extend(self.deafen(&record).err());
            self.reaper.take(&container, record.endpoints);
            errors.extend(self.sandboxes.delete(container.as_str()).err().map(Error::from));
        }
        match self.forwarder.settle() {
            Ok(failures) => {
                for (container, error) in failures {
                    tracing::error!(%error, container = container.short(), "cannot publish a port again");
                }
            }
            Err(error) => errors.push(error.into()),
        }
        errors.extend(self.remove_strays().err());
        match errors.len() {
            0 => Ok(()),
            _ => Err(Error::TearDown { what: "containers that ended while no engine ran".into(), errors }),
        }
    }

    /// Deletes interfaces and routes in the router namespace that no record accounts for: an engine may have been killed
    /// between making one and writing that down.
    fn remove_strays(&self) -> Result<()> {
        self.reaper.finish();
        let links = self.router.netlink(crate::netlink::Netlink::links)?;
        let books = self.books();
        let sandboxes = books.sandboxes.values();
        let veths: BTreeSet<&str> =
            sandboxes.flat_map(|s| s.record.endpoints.iter().map(|e| e.host_interface.as_str())).collect();
        let bridges: BTreeSet<&str> = books.all().map(|network| network.bridge.as_str()).collect();
        let stray = |link: &crate::netlink::link::Link| {
            // lxc-user-nic's is a veth too, and has a name of that program's own at first.
            (link.is_veth
                && plumbing::is_host_interface(&link.name)
                && !veths.contains(link.name.as_str())
                && !self.stock.holds(&link.name))
                || (link.is_bridge && !bridges.contains(link.name.as_str()))
        };
        let changes: Vec<_> = links
            .iter()
            .filter(|link| stray(link))
            .map(|link| crate::netlink::link::delete(&link.name))
            .collect();
        // Of all networks: those that have no bridge of their own prohibit nothing.
        let subnets: Vec<IpNet> =
            books.all().flat_map(|network| network.pools.iter().map(|pool| pool.subnet)).collect();
        drop(books);
        self.router.netlink(|netlink| netlink.changes(&changes))?;
        self.router.forget_subnets_but(&subnets)
    }
}
