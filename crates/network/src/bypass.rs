//! Where containers may connect to by sockets of the host's: the policies that their supervisors read (crate `bypass`).

use crate::{
    books::Books,
    error::{Error, Result},
    networks::Networks,
    plumbing,
    record::{Endpoint, SandboxRecord},
};
use ::bypass::policy::Policy;
use ipnet::IpNet;
use std::{io, sync::PoisonError};

/// Addresses of the way out's own, which stand for the host and its name server; slirp4netns and pasta have the same.
const STAND_INS: [&str; 2] = ["10.0.2.0/24", "fd4c:6963:6865:6e00::/64"];

impl Networks {
    /// Writes a container's policy, if it is to have one.
    pub(crate) fn allow(&self, record: &SandboxRecord) -> Result<()> {
        let Some(excepted) = &record.bypass else { return Ok(()) };
        let path = self.run.bypass(&record.container);
        let failed = |source: io::Error| Error::Bypass { path: path.clone(), source };
        // What is written last is what is known last.
        let _turn = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        let policy = policy(&self.books(), record, excepted, self.outward.name() != "none");
        std::fs::create_dir_all(self.run.bypasses()).map_err(failed)?;
        policy.write(&path).map_err(failed)
    }

    /// Writes the policies of all containers, after the engine's networks have changed.
    pub(crate) fn allow_all(&self) -> Result<()> {
        let records: Vec<SandboxRecord> = self
            .books()
            .sandboxes
            .values()
            .map(|s| &s.record)
            .filter(|r| r.bypass.is_some())
            .cloned()
            .collect();
        records.iter().try_for_each(|record| self.allow(record))
    }

    /// Takes a container's policy away: nothing is allowed any more.
    pub(crate) fn forbid(&self, record: &SandboxRecord) -> Result<()> {
        if record.bypass.is_none() {
            return Ok(());
        }
        let path = self.run.bypass(&record.container);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Bypass { path, source }),
            _ => Ok(()),
        }
    }
}

/// What goes out is what the router would let out: by the bridge that holds the default route.
fn policy(books: &Books, record: &SandboxRecord, excepted: &[IpNet], outward: bool) -> Policy {
    let (v4, v6) = plumbing::gateways(&record.endpoints);
    let leads_out = |endpoint: Option<&Endpoint>| {
        let network = endpoint.filter(|e| e.is_bridged()).and_then(|e| books.networks.get(&e.network));
        outward && network.and_then(|live| live.plan()).is_some_and(|plan| plan.outward)
    };
    let subnets = books.networks.values().flat_map(|live| live.network.pools.iter().map(|pool| pool.subnet));
    let stand_ins = STAND_INS.map(|net| net.parse::<IpNet>().expect("a constant subnet"));
    let inside: Vec<IpNet> = subnets.chain(stand_ins).chain(excepted.iter().copied()).collect();
    Policy { netns: record.netns_inode, v4: leads_out(v4), v6: leads_out(v6), inside }
}
