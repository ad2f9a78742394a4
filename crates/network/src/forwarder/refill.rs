//! A new forwarder knows nothing: it is told everything again.

use super::{Shared, lock};
use netd::proto::{Listen, Names, Resolver};
use std::{collections::BTreeSet, os::fd::OwnedFd, sync::Arc, time::Duration};

/// By the thread that would have to start another one if this one has died too.
const AT_ONCE: Duration = Duration::ZERO;

impl Shared {
    /// Fills a new forwarder. One port that cannot be had again must not keep the others from coming back.
    pub(super) fn refill(&self) {
        self.refill_names();
        let listens: Vec<Listen> = lock(&self.ports).keys().copied().collect();
        for listen in listens {
            // It may have been withdrawn meanwhile.
            let Some(port) = lock(&self.ports).get(&listen).cloned() else { continue };
            if let Err(error) = self.ask(AT_ONCE, |client| {
                self.listeners.add(client, std::slice::from_ref(&port), &BTreeSet::new())
            }) {
                tracing::error!(%error, listen = ?port.listen, container = %port.container.short(), "cannot publish a port again");
            }
        }
    }

    fn refill_names(&self) {
        let names: Vec<Names> = lock(&self.names).values().cloned().collect();
        if let Err(error) = self.ask(AT_ONCE, |client| client.name(names.clone())) {
            tracing::error!(%error, "containers are not found by name");
        }
        let resolvers: Vec<(Resolver, Arc<OwnedFd>)> = lock(&self.resolvers)
            .values()
            .map(|told| (told.resolver.clone(), Arc::clone(&told.netns)))
            .collect();
        for (resolver, netns) in resolvers {
            match self.resolve(AT_ONCE, &resolver, &netns, None) {
                Ok(ports) => {
                    if let Some(told) = lock(&self.resolvers).get_mut(&resolver.container) {
                        told.led_to = Some(ports);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, container = resolver.container.short(), "cannot start a resolver again");
                }
            }
        }
    }
}
