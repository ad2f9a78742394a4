//! A new forwarder knows nothing: it is told everything again.

use super::{Shared, lock};
use model::Id;
use netd::proto::Listen;
use std::{collections::BTreeSet, time::Duration};

/// By the thread that would have to start another one if this one has died too.
const AT_ONCE: Duration = Duration::ZERO;

impl Shared {
    /// Fills a new forwarder with what is wanted by the time it is told. One port that cannot be had again must not keep
    /// the others from coming back.
    pub(super) fn refill(&self) {
        self.refill_names();
        let listens: Vec<Listen> = lock(&self.ports).keys().copied().collect();
        for listen in listens {
            let added = self.ask(AT_ONCE, |client| {
                // It may have been withdrawn meanwhile.
                let Some(port) = lock(&self.ports).get(&listen).cloned() else { return Ok(()) };
                self.listeners.add(client, &[port], &BTreeSet::new())
            });
            if let Err(error) = added {
                tracing::error!(%error, ?listen, "cannot publish a port again");
            }
        }
    }

    fn refill_names(&self) {
        let names = |client: &mut netd::client::Client| {
            let names = lock(&self.names).values().cloned().collect();
            client.name(names)
        };
        if let Err(error) = self.ask(AT_ONCE, names) {
            tracing::error!(%error, "containers are not found by name");
        }
        let containers: Vec<Id> = lock(&self.resolvers).keys().cloned().collect();
        for container in containers {
            if let Err(error) = self.resolve(AT_ONCE, &container) {
                tracing::error!(%error, container = container.short(), "cannot start a resolver again");
            }
        }
    }
}
