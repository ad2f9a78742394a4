//! Sockets for published ports that the forwarder does not bind itself: it is given them.
//!
//! * those that a service manager passed to us, which may bind what we may not;
//! * those that the launcher binds, where it has the capability for ports below 1024 and we are refused;
//! * those in the router namespace, for ports that another program has on the host ([`crate::port_driver`]).

use crate::{config::Launcher, netns, port_driver::Guide, router::Router};
use netd::{
    client::{self, Client},
    proto::{Listen, Port},
};
use rustix::io::Errno;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) struct Listeners {
    router: Arc<Router>,
    guide: Arc<Guide>,
    launcher: Option<Arc<dyn Launcher>>,
    inherited: BTreeMap<Listen, OwnedFd>,
    /// What the launcher bound. A forwarder that is started again is given it again.
    bound: Mutex<BTreeMap<Listen, OwnedFd>>,
}

impl Listeners {
    pub(crate) fn new(
        router: Arc<Router>,
        guide: Arc<Guide>,
        launcher: Option<Arc<dyn Launcher>>,
        inherited: Vec<OwnedFd>,
    ) -> Self {
        // Others than TCP listeners and UDP sockets are not ports.
        let describe = |fd: OwnedFd| netd::socket::bound_to(&fd).map(|listen| (listen, fd));
        let inherited = inherited.into_iter().filter_map(describe).collect();
        Self { router, guide, launcher, inherited, bound: Mutex::default() }
    }

    fn bound(&self) -> MutexGuard<'_, BTreeMap<Listen, OwnedFd>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the forwarder add ports, of which it has the `known` ones already, and leads the host's to them where another
    /// program listens there. All of them, or none.
    pub(crate) fn add(
        &self,
        client: &mut Client,
        ports: &[Port],
        known: &BTreeSet<Listen>,
    ) -> Result<(), client::Error> {
        loop {
            match self.try_add(client, ports, known) {
                Err(client::Error::Port { listen, errno, .. })
                    if errno == Errno::ACCESS.raw_os_error() && self.bind(listen) => {}
                Err(error) => {
                    let new = ports.iter().map(|port| port.listen).filter(|listen| !known.contains(listen));
                    self.forget(new);
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    fn try_add(
        &self,
        client: &mut Client,
        ports: &[Port],
        known: &BTreeSet<Listen>,
    ) -> Result<(), client::Error> {
        let bound = self.bound();
        let has = |listen: &Listen| self.inherited.contains_key(listen) || bound.contains_key(listen);
        let is_guided =
            |listen: &Listen| self.guide.guides(listen) && !has(listen) && !known.contains(listen);
        let guided: Vec<Listen> = ports.iter().map(|port| port.listen).filter(is_guided).collect();
        let mut made: BTreeMap<Listen, (OwnedFd, u16)> = BTreeMap::new();
        for listen in &guided {
            made.insert(*listen, self.listen_inside(*listen)?);
        }
        let descriptor = |listen: &Listen| -> Option<BorrowedFd<'_>> {
            let inside = made.get(listen).map(|(fd, _)| fd.as_fd());
            inside.or_else(|| self.inherited.get(listen).or_else(|| bound.get(listen)).map(AsFd::as_fd))
        };
        let descriptors: Vec<_> = ports.iter().filter_map(|port| descriptor(&port.listen)).collect();
        let passed = |port: &Port| Port { passed: descriptor(&port.listen).is_some(), ..port.clone() };
        client.add(ports.iter().map(passed).collect(), &descriptors)?;
        let led = made.iter().try_for_each(|(listen, (_, inside))| self.guide.lead(*listen, *inside));
        if led.is_err() {
            if let Err(error) = self.guide.withdraw(&guided) {
                tracing::warn!(%error, "cannot take back ports that were led before one that failed");
            }
            client.remove(guided)?;
        }
        led
    }

    /// Closes what was bound for ports that are no longer published.
    pub(crate) fn forget(&self, listens: impl IntoIterator<Item = Listen>) {
        let mut bound = self.bound();
        for listen in listens {
            bound.remove(&listen);
        }
    }

    /// True when the launcher has bound a port that it had not bound before.
    fn bind(&self, listen: Listen) -> bool {
        let Some(launcher) = &self.launcher else { return false };
        if self.bound().contains_key(&listen) {
            return false;
        }
        match launcher.bind(listen) {
            Ok(socket) => {
                self.bound().insert(listen, socket);
                true
            }
            Err(error) => {
                tracing::debug!(%error, ?listen, "the launcher may not bind it either");
                false
            }
        }
    }

    /// A listener in the router namespace for a port that another program has on the host.
    fn listen_inside(&self, listen: Listen) -> Result<(OwnedFd, u16), client::Error> {
        self.guide.check(listen)?;
        let made = netns::inside(self.router.namespace().as_fd(), || Ok(self.guide.listener(listen)));
        made.map_err(io::Error::other).and_then(|made| made).map_err(|error| client::Error::Port {
            listen,
            operation: "listen in the router namespace".into(),
            errno: error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()),
        })
    }
}
