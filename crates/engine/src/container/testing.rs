//! Containers for unit tests.

use super::{COLLECTION, Container, Record, State};
use model::{Id, Timestamp};
use std::sync::Arc;

/// A created container that nothing has been done to.
pub(crate) fn record(id: Id, name: &str) -> Record {
    Record {
        id,
        name: name.to_owned(),
        created: Timestamp::from_unix(1_700_000_000, 0),
        image: None,
        config: Default::default(),
        host_config: Default::default(),
        networks: Default::default(),
        mounts: Vec::new(),
        state: State::Created { failure: None },
        exits: 0,
        restart_count: 0,
        stopped_by_client: false,
        health: None,
        pending: None,
        gone: false,
    }
}

pub(crate) fn container(id: Id, name: &str) -> Arc<Container> {
    let store = store::Store::in_memory().unwrap();
    Container::new(record(id, name), store.collection(COLLECTION))
}
