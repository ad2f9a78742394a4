//! Building a container's network: everything is checked and taken first, then made, and undone in reverse when a step
//! fails.

use crate::{
    books::LiveSandbox,
    endpoint::{self, Owner},
    error::{Error, PortError, Result},
    netns,
    networks::Networks,
    plumbing::{self, Namespace, Port},
    ports::{Target, listen},
    record::{Endpoint, PublishedPort, SandboxRecord},
    request::{PortRequest, Sandbox, SandboxRequest},
    stock::INTERFACE,
    undo::Undo,
};
use model::Id;
use std::{collections::BTreeSet, os::fd::OwnedFd, sync::Arc};

impl Networks {
    /// Builds a container's network: all of it, or none of it.
    pub fn start(&self, request: SandboxRequest) -> Result<Sandbox> {
        let mut planned = self.plan(&request)?;
        let namespace = self.take_namespace(&mut planned);
        let mut undo = Undo::default();
        let endpoints: Vec<Endpoint> = planned.iter().map(|(endpoint, _)| endpoint.clone()).collect();
        let (container, to_release) = (request.container.clone(), endpoints.clone());
        // Also where a pair was not made: deleting what is not there is no error.
        undo.push("take addresses", move || {
            self.reaper.take(&container, to_release);
            Ok(())
        });
        match namespace.and_then(|namespace| self.build(&request, &planned, namespace, &mut undo)) {
            Ok((netns, ports)) => Ok(Sandbox { netns, endpoints, ports }),
            Err(cause) => Err(undo.roll_back(cause)),
        }
    }

    /// A namespace off the shelf, and the endpoint whose interface is in it already.
    fn take_namespace(&self, planned: &mut [(Endpoint, Port)]) -> Result<(Namespace, Option<usize>)> {
        let wanted = planned.iter().position(|(e, port)| e.interface == INTERFACE && self.stock.fits(port));
        match wanted.and_then(|index| self.stock.plugged().map(|plugged| (index, plugged))) {
            Some((index, plugged)) => {
                planned[index].0.host_interface = plugged.host_interface;
                Ok((plugged.namespace, Some(index)))
            }
            None => Ok((self.stock.bare()?, None)),
        }
    }

    /// Takes addresses for every endpoint, or none.
    fn plan(&self, request: &SandboxRequest) -> Result<Vec<(Endpoint, Port)>> {
        let owner = Owner {
            container: &request.container,
            name: &request.container_name,
            hostname: &request.hostname,
        };
        let mut books = self.books();
        let mut interfaces = BTreeSet::new();
        let mut planned: Vec<(Endpoint, Port)> = Vec::new();
        for wanted in &request.endpoints {
            let result = endpoint::plan(&mut books, &owner, wanted, &mut interfaces);
            match result {
                Ok(endpoint) => planned.push(endpoint),
                Err(error) => {
                    for (endpoint, _) in &planned {
                        endpoint::release(&mut books, &request.container, endpoint);
                    }
                    return Err(error);
                }
            }
        }
        Ok(planned)
    }

    fn build<'a>(
        &'a self,
        request: &SandboxRequest,
        planned: &[(Endpoint, Port)],
        (mut namespace, made): (Namespace, Option<usize>),
        undo: &mut Undo<'a>,
    ) -> Result<(OwnedFd, Vec<PublishedPort>)> {
        for (index, (endpoint, port)) in planned.iter().enumerate() {
            if made == Some(index) {
                plumbing::configure(&mut namespace, endpoint)?;
            } else {
                plumbing::plug(&self.router, &mut namespace, endpoint, port)?;
            }
        }
        let endpoints: Vec<Endpoint> = planned.iter().map(|(endpoint, _)| endpoint.clone()).collect();
        plumbing::set_default_routes(&mut namespace, &[], &endpoints)?;
        let ports = self.publish(&request.container, &request.container_name, &endpoints, &request.ports)?;
        let published = ports.clone();
        undo.push("publish ports", move || self.withdraw(&published));
        if !endpoints.is_empty() {
            self.outward.wait_settled();
        }
        let record = SandboxRecord {
            container: request.container.clone(),
            container_name: request.container_name.clone(),
            hostname: request.hostname.clone(),
            netns_inode: netns::inode(&namespace.fd)?,
            endpoints,
            ports: ports.clone(),
            port_requests: request.ports.clone(),
            dns_servers: request.dns_servers.clone(),
            ndots_chosen: request.ndots_chosen,
            bypass: request.bypass.clone(),
            changing: None,
        };
        let netns = self.enter(record, namespace, undo)?;
        Ok((netns, ports))
    }

    /// Enters a finished sandbox into the records and the books, and announces it. The record comes first: an engine that
    /// finds one without a container has the forwarder forget its names and its resolver, which would keep the namespace.
    fn enter<'a>(
        &'a self,
        record: SandboxRecord,
        namespace: Namespace,
        undo: &mut Undo<'a>,
    ) -> Result<OwnedFd> {
        let duplicate = namespace.fd.try_clone();
        let netns =
            duplicate.map_err(|source| Error::Namespace { operation: "duplicate a descriptor", source })?;
        let fd = Arc::new(namespace.fd);
        let recorded = record.container.clone();
        undo.push("record the sandbox", move || Ok(self.sandboxes.delete(recorded.as_str()).map(drop)?));
        self.sandboxes.put(record.container.as_str(), &record)?;
        let announced = record.clone();
        undo.push("announce names", move || self.deafen(&announced));
        self.announce(&record, &fd)?;
        let allowed = record.clone();
        undo.push("let connect", move || self.forbid(&allowed));
        self.allow(&record)?;
        let sandbox = LiveSandbox { netns: fd, record };
        self.books().sandboxes.insert(sandbox.record.container.clone(), sandbox);
        Ok(netns)
    }

    /// Publishes ports at the endpoints that hold the default routes. A container whose networks are all internal
    /// publishes nothing, as in Docker.
    pub(crate) fn publish(
        &self,
        container: &Id,
        name: &str,
        endpoints: &[Endpoint],
        requests: &[PortRequest],
    ) -> Result<Vec<PublishedPort>> {
        let target = Target::of(container, endpoints);
        if requests.is_empty() || !target.is_reachable() {
            return Ok(Vec::new());
        }
        if self.outward.guide().is_outside_program() {
            // It is told of ports, or looks for them, once it is there.
            self.outward.wait_settled();
        }
        let (v4, v6) = plumbing::gateways(endpoints);
        let endpoint = v4.or(v6).map(|e| (e.id.to_string(), e.network.clone()));
        let (endpoint, network) = endpoint.unwrap_or_else(|| (String::new(), container.clone()));
        let default_host = self.books().networks.get(&network).and_then(|live| live.options.host_ip);
        // Docker writes the default down as 0.0.0.0 and takes it to mean "every address".
        let default_host = default_host.filter(|ip| !ip.is_unspecified());
        self.host_ports
            .publish(&self.forwarder, &target, requests, default_host)
            .map_err(|source| Error::Ports { name: name.to_owned(), endpoint, source: Box::new(source) })
    }

    /// Takes published ports back.
    pub(crate) fn withdraw(&self, ports: &[PublishedPort]) -> Result<()> {
        let removed = self.forwarder.remove(&ports.iter().map(listen).collect::<Vec<_>>());
        // Not before: whoever publishes one next must not lose it to this removal.
        self.host_ports.release(ports);
        Ok(removed?)
    }

    /// Points ports that stay published to where the container's default routes are now.
    pub(crate) fn retarget(&self, record: &SandboxRecord) -> Result<(), PortError> {
        let target = Target::of(&record.container, &record.endpoints);
        if record.ports.is_empty() {
            return Ok(());
        }
        let ports = record.ports.iter().map(|port| target.port(port)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.forwarder.add(ports)?)
    }
}
