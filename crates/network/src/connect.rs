//! `network connect` and `network disconnect` of running containers.
//!
//! ```text
//!   note    the endpoint that is about to change is written down beside the sandbox as it was
//!   make    interface, default routes, published ports, names    (or take them away)
//!   replace the sandbox as it is now is written down, without the note
//! ```
//! An engine that finds a note takes the endpoint off ([`Networks::adopt`]): whoever asked for the change was told of none.

use crate::{
    endpoint::{self, Owner},
    error::{Error, Result},
    networks::Networks,
    plumbing::{self, Namespace},
    record::{Endpoint, SandboxRecord},
    request::EndpointRequest,
    undo::Undo,
};
use model::Id;
use std::{collections::BTreeSet, sync::Arc};

impl Networks {
    /// Connects a running container to one more network.
    pub fn connect(&self, container: &Id, request: EndpointRequest) -> Result<Endpoint> {
        let (before, endpoint, port) = self.plan_connect(container, &request)?;
        let mut after = before.clone();
        after.endpoints.push(endpoint.clone());
        let done = self.note(&before, &endpoint).and_then(|()| self.put_on(&before, &mut after, &port));
        let Err(cause) = done.and_then(|()| self.replace(after.clone())) else { return Ok(endpoint) };
        // Its addresses are given back when its interface is gone: by the reaper.
        if let Err(error) = self.take_off(after, &endpoint, false) {
            tracing::warn!(%error, %cause, "cannot undo: connect");
        }
        // Also where it was not made: deleting what is not there is no error.
        self.reaper.take(container, vec![endpoint]);
        Err(cause)
    }

    /// Writes down which endpoint is about to change.
    pub(crate) fn note(&self, before: &SandboxRecord, endpoint: &Endpoint) -> Result<()> {
        let noted = SandboxRecord { changing: Some(endpoint.clone()), ..before.clone() };
        Ok(self.sandboxes.put(before.container.as_str(), &noted)?)
    }

    /// Makes the last endpoint of `after`, and leads to it what now goes there.
    fn put_on(&self, before: &SandboxRecord, after: &mut SandboxRecord, port: &plumbing::Port) -> Result<()> {
        let mut namespace = self.hold(&before.container)?;
        if let Some(endpoint) = after.endpoints.last() {
            plumbing::plug(&self.router, &mut namespace, endpoint, port)?;
        }
        self.reroute(&mut namespace, before, after)?;
        self.announce(after, &Arc::new(namespace.fd))
    }

    /// Takes an endpoint off a running container, however much of it was made, or is left; `release` as in
    /// `go_on_without`.
    pub(crate) fn take_off(&self, before: SandboxRecord, endpoint: &Endpoint, release: bool) -> Result<()> {
        let mut namespace = self.hold(&before.container)?;
        plumbing::unplug(&self.router, &mut namespace, endpoint)?;
        self.go_on_without(namespace, &before, endpoint, release)
    }

    /// After an endpoint's interface is gone: all else that goes with it; `release`: its addresses too.
    fn go_on_without(
        &self,
        mut namespace: Namespace,
        before: &SandboxRecord,
        endpoint: &Endpoint,
        release: bool,
    ) -> Result<()> {
        let mut after = SandboxRecord { changing: None, ..before.clone() };
        after.endpoints.retain(|e| e.id != endpoint.id);
        let rerouted = self.reroute(&mut namespace, before, &mut after);
        let silenced = self.silence_left(endpoint, &after);
        let announced = self.announce(&after, &Arc::new(namespace.fd));
        // The interface is gone whatever else failed: that must be on record.
        self.enter_change(&after)?;
        // Not before: two containers must never have one address on record.
        if release {
            endpoint::release(&mut self.books(), &before.container, endpoint);
        }
        rerouted.and(silenced).and(announced).and(self.allow(&after))
    }

    pub(crate) fn plan_connect(
        &self,
        container: &Id,
        request: &EndpointRequest,
    ) -> Result<(SandboxRecord, Endpoint, plumbing::Port)> {
        let mut books = self.books();
        let network = books.find(&request.network)?.network.clone();
        let no_sandbox = || Error::NoSandbox { container: container.short().to_owned() };
        let record = books.sandboxes.get(container).ok_or_else(no_sandbox)?.record.clone();
        if record.endpoints.iter().any(|e| e.network == network.id) {
            return Err(Error::AlreadyConnected { container: record.container_name, network: network.name });
        }
        let owner = Owner { container, name: &record.container_name, hostname: &record.hostname };
        let mut interfaces: BTreeSet<String> = record.endpoints.iter().map(|e| e.interface.clone()).collect();
        let (endpoint, port) = endpoint::plan(&mut books, &owner, request, &mut interfaces)?;
        Ok((record, endpoint, port))
    }

    /// Disconnects a running container from a network.
    pub fn disconnect(&self, container: &Id, network: &str) -> Result<Endpoint> {
        let (before, endpoint) = {
            let books = self.books();
            let network = books.find(network)?.network.clone();
            let record = books.sandboxes.get(container).map(|sandbox| sandbox.record.clone());
            let not_connected = |container: &str| Error::NotConnected {
                container: container.to_owned(),
                network: network.name.clone(),
            };
            let record = record.ok_or_else(|| not_connected(container.short()))?;
            let endpoint = record.endpoints.iter().find(|e| e.network == network.id).cloned();
            let endpoint = endpoint.ok_or_else(|| not_connected(&record.container_name))?;
            (record, endpoint)
        };
        let mut namespace = self.hold(container)?;
        self.note(&before, &endpoint)?;
        let mut undo = Undo::default();
        // It stays on the network, and the next engine must not take it off.
        undo.push("note the change", || Ok(self.sandboxes.put(container.as_str(), &before)?));
        if let Err(cause) = plumbing::unplug(&self.router, &mut namespace, &endpoint) {
            return Err(undo.roll_back(cause));
        }
        self.go_on_without(namespace, &before, &endpoint, true).map(|()| endpoint)
    }

    /// The container's namespace, with a netlink socket inside.
    pub(crate) fn hold(&self, container: &Id) -> Result<Namespace> {
        plumbing::existing(self.netns(container)?)
    }

    /// Moves the default routes, and the published ports after them.
    pub(crate) fn reroute(
        &self,
        namespace: &mut Namespace,
        before: &SandboxRecord,
        after: &mut SandboxRecord,
    ) -> Result<()> {
        plumbing::set_default_routes(namespace, &before.endpoints, &after.endpoints)?;
        let holders = |record: &SandboxRecord| {
            let (v4, v6) = plumbing::gateways(&record.endpoints);
            (v4.map(|e| e.id.clone()), v6.map(|e| e.id.clone()))
        };
        if holders(before) == holders(after) || after.port_requests.is_empty() {
            return Ok(());
        }
        if holders(after) == (None, None) {
            self.withdraw(&std::mem::take(&mut after.ports))
        } else if after.ports.is_empty() {
            let (name, requests) = (after.container_name.clone(), after.port_requests.clone());
            after.ports = self.publish(&after.container, &name, &after.endpoints, &requests)?;
            Ok(())
        } else {
            self.retarget(after).map_err(|source| Error::Ports {
                name: after.container_name.clone(),
                endpoint: holders(after).0.or(holders(after).1).map(|id| id.to_string()).unwrap_or_default(),
                source: Box::new(source),
            })
        }
    }

    fn replace(&self, record: SandboxRecord) -> Result<()> {
        self.enter_change(&record)?;
        self.allow(&record)
    }

    /// Where it cannot be written down, the books go on with the endpoints that are on record, so that whoever asked can ask
    /// again; the ports are those that are published in any case.
    fn enter_change(&self, record: &SandboxRecord) -> Result<()> {
        let written = self.sandboxes.put(record.container.as_str(), record);
        if let Some(sandbox) = self.books().sandboxes.get_mut(&record.container) {
            match written {
                Ok(()) => sandbox.record = record.clone(),
                Err(_) => sandbox.record.ports.clone_from(&record.ports),
            }
        }
        Ok(written?)
    }
}
