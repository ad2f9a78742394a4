//! Deleting veth pairs off the hot path.
//!
//! Taking an interface down waits for a grace period of RCU, milliseconds in which a container's `rm` would wait for
//! nothing it cares about. An address is free for the next container only once its old interface is gone: until then
//! the old namespace, though empty, still answers ARP for it.

use crate::{
    books::Books,
    endpoint,
    error::{Error, Result},
    networks::lock,
    plumbing,
    record::Endpoint,
    router::Router,
};
use model::Id;
use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

/// How long to wait for more: the kernel deletes many for little more than the cost of one, and holds the lock that
/// every start needs (RTNL) meanwhile.
const GATHER: Duration = Duration::from_millis(30);

type Task = (Id, Vec<Endpoint>);

pub(crate) struct Reaper {
    tasks: Mutex<Sender<Task>>,
    pending: Arc<(Mutex<usize>, Condvar)>,
}

impl Reaper {
    pub(crate) fn start(router: Arc<Router>, books: Arc<Mutex<Books>>) -> Result<Self> {
        let (tasks, todo) = channel::<Task>();
        let pending: Arc<(Mutex<usize>, Condvar)> = Arc::default();
        let done = Arc::clone(&pending);
        let work = move || {
            while let Ok(first) = todo.recv() {
                thread::sleep(GATHER);
                let batch: Vec<Task> = [first].into_iter().chain(todo.try_iter()).collect();
                if let Err(error) = plumbing::unplug_all(&router, batch.iter().flat_map(|(_, e)| e)) {
                    tracing::warn!(%error, "cannot delete the interfaces of containers that ended");
                }
                let mut books = lock(&books);
                for (container, endpoint) in
                    batch.iter().flat_map(|(c, list)| list.iter().map(move |e| (c, e)))
                {
                    endpoint::release(&mut books, container, endpoint);
                }
                drop(books);
                *done.0.lock().unwrap_or_else(PoisonError::into_inner) -= batch.len();
                done.1.notify_all();
            }
        };
        thread::Builder::new()
            .name("veth-reaper".into())
            .spawn(work)
            .map_err(|source| Error::Namespace { operation: "start a thread", source })?;
        Ok(Self { tasks: Mutex::new(tasks), pending })
    }

    /// Has the endpoints' interfaces deleted and their addresses released soon.
    pub(crate) fn take(&self, container: &Id, endpoints: Vec<Endpoint>) {
        if endpoints.is_empty() {
            return;
        }
        *self.pending.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.send((container.clone(), endpoints)).expect("the reaper lives as long as its sender");
    }

    /// Waits until everything is done that was asked for before.
    pub(crate) fn finish(&self) {
        let pending = self.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.pending.1.wait_while(pending, |count| *count > 0));
    }
}
