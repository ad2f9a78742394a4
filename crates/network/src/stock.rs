//! Namespaces made before they are needed.
//!
//! Making a network namespace takes the kernel most of a millisecond and a veth pair as much again, and both are the
//! same for every container. Threads keep a few namespaces ready, bare ones and ones with an interface on the network
//! `bridge`, so that a container's start takes one off the shelf; a burst that empties the shelf makes its own.

use crate::{
    error::{Error, Result},
    plumbing::{self, Namespace, Port},
    router::Router,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

/// How many of a kind are kept: each is some hundred kilobytes of kernel memory.
const SHELF: usize = 2;

/// How long the processor is left to the start that took one before another is made: about what a start takes. A burst
/// makes its own meanwhile, with all processors.
const PAUSE: Duration = Duration::from_millis(6);

/// The interface that is made in advance.
pub(crate) const INTERFACE: &str = "eth0";

/// A namespace with an interface, still down and without addresses, whose near end is on a bridge.
pub(crate) struct Plugged {
    pub namespace: Namespace,
    /// The near end.
    pub host_interface: String,
}

pub(crate) struct Stock {
    ends_near: bool,
    bare: Shelf<Namespace>,
    plugged: Option<(Port, Shelf<Plugged>)>,
    /// Near ends on the shelf, which no record accounts for.
    spares: Arc<Mutex<BTreeSet<String>>>,
}

struct Shelf<T> {
    ready: Mutex<Receiver<Result<T>>>,
}

impl Stock {
    /// Starts the threads; they end when the stock is dropped. `default` is where most containers go; `ends_near` is said to
    /// [`plumbing::new_namespace`].
    pub(crate) fn open(router: Arc<Router>, default: Option<Port>, ends_near: bool) -> Result<Self> {
        let spares: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let plugged = default.map(|port| {
            let spares = Arc::clone(&spares);
            let made = port.clone();
            Ok::<_, Error>((made, Shelf::open(move || plug(&router, port.clone(), ends_near, &spares))?))
        });
        let bare = Shelf::open(move || plumbing::new_namespace(ends_near))?;
        Ok(Self { ends_near, bare, plugged: plugged.transpose()?, spares })
    }

    /// A new namespace with nothing but a loopback.
    pub(crate) fn bare(&self) -> Result<Namespace> {
        self.bare.take().map_or_else(|| plumbing::new_namespace(self.ends_near), Ok)
    }

    /// A namespace with an interface on the network `bridge`, where one is ready.
    pub(crate) fn plugged(&self) -> Option<Plugged> {
        let (_, shelf) = self.plugged.as_ref()?;
        let taken = shelf.take()?;
        lock(&self.spares).remove(&taken.host_interface);
        Some(taken)
    }

    /// Whether [`Stock::plugged`] makes what an endpoint at `port` needs.
    pub(crate) fn fits(&self, port: &Port) -> bool {
        self.plugged.as_ref().is_some_and(|(made, _)| made == port)
    }

    /// Whether `interface` is the near end of one on the shelf.
    pub(crate) fn holds(&self, interface: &str) -> bool {
        lock(&self.spares).contains(interface)
    }
}

fn plug(router: &Router, port: Port, ends_near: bool, spares: &Mutex<BTreeSet<String>>) -> Result<Plugged> {
    let namespace = plumbing::new_namespace(ends_near)?;
    let host_interface = plumbing::host_interface(&port);
    // Before it is made, so that it is never taken for a stray.
    lock(spares).insert(host_interface.clone());
    plumbing::make_interface(router, &namespace, &host_interface, INTERFACE, crate::MacAddr::random(), &port)
        .inspect_err(|_| {
            lock(spares).remove(&host_interface);
        })?;
    Ok(Plugged { namespace, host_interface })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> Shelf<T> {
    fn open(make: impl Fn() -> Result<T> + Send + 'static) -> Result<Self> {
        // The thread itself holds one more, waiting for a place.
        let (shelve, ready) = sync_channel(SHELF - 1);
        let fill = move || {
            let next = || {
                thread::sleep(PAUSE);
                make()
            };
            while shelve.send(next()).is_ok() {}
        };
        thread::Builder::new()
            .name("netns-stock".into())
            .spawn(fill)
            .map_err(|source| Error::Namespace { operation: "start a thread", source })?;
        Ok(Self { ready: Mutex::new(ready) })
    }

    /// None when the shelf is empty, or when what was on it could not be made (no descriptors were left, say).
    fn take(&self) -> Option<T> {
        lock(&self.ready).try_recv().ok().and_then(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns;

    #[test]
    fn what_could_not_be_made_is_not_on_the_shelf() {
        testing::in_userns("stock::tests::what_could_not_be_made_is_not_on_the_shelf", || {
            let (namespace, ()) = netns::create(|| Ok(())).unwrap();
            let path = std::path::PathBuf::from(format!(
                "/proc/{}/fd/{}",
                std::process::id(),
                std::os::fd::AsRawFd::as_raw_fd(&namespace)
            ));
            let router = Router::open(&path, &Default::default(), None).unwrap();
            let spares = Mutex::default();
            let port = Port::Bridge { index: 4711, mtu: 1500, isolated: false };
            let error = plug(&router, port, false, &spares).err().expect("there is no such bridge");
            assert_eq!(lock(&spares).len(), 0, "{error}");
        });
    }
}
