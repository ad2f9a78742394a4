//! One container in memory: its record, who waits for it, and the lock that verbs take on it.
//!
//! # Locks
//! * [`Container::lock`] is held by a verb for its whole duration, so verbs on one container happen one after another.
//!   The task that watches the shim does *not* take it: a verb may wait for an exit while it holds the lock.
//! * The record is replaced, never changed in place ([`Container::change`]); whoever reads it has a consistent copy, and
//!   nobody who lists or inspects waits for a verb.

pub mod names;
pub mod record;
pub mod registry;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;

pub use record::{Pending, Record};
pub use registry::Registry;
pub use state::{Exit, Failure, Run, State, Status};

use crate::{Error, live::Live};
use model::Id;
use std::sync::{Arc, Mutex, PoisonError};
use store::Collection;
use tokio::sync::{MutexGuard, watch};

/// The name of the collection of [`Record`]s in the store.
pub const COLLECTION: &str = "containers";

pub struct Container {
    id: Id,
    record: watch::Sender<Arc<Record>>,
    /// Serialises verbs.
    verb: tokio::sync::Mutex<()>,
    /// Held while the record is written, so that an older one never replaces a newer one in the store.
    saving: Mutex<()>,
    records: Collection<Record>,
    /// What exists only while this engine runs: the shim's connection, streams that wait for the start.
    pub live: Live,
}

impl Container {
    pub fn new(record: Record, records: Collection<Record>) -> Arc<Self> {
        Arc::new(Self {
            id: record.id.clone(),
            record: watch::Sender::new(Arc::new(record)),
            verb: tokio::sync::Mutex::new(()),
            saving: Mutex::new(()),
            records,
            live: Live::default(),
        })
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The record as it is now.
    pub fn record(&self) -> Arc<Record> {
        self.record.borrow().clone()
    }

    /// Sees every later record, but may miss some in between; see [`Record::exits`].
    pub fn watch(&self) -> watch::Receiver<Arc<Record>> {
        self.record.subscribe()
    }

    /// Waits until no other verb works on this container.
    pub async fn lock(&self) -> MutexGuard<'_, ()> {
        self.verb.lock().await
    }

    /// Replaces the record by what `change` makes of it, and tells those who wait. Not yet saved.
    pub fn change<R>(&self, change: impl FnOnce(&mut Record) -> R) -> R {
        let mut result = None;
        self.record.send_modify(|record| result = Some(change(Arc::make_mut(record))));
        result.expect("send_modify calls its closure once")
    }

    /// Writes the record as it is now to the store.
    ///
    /// This blocks for tens of microseconds (no fsync; see crate `store`), less than handing it to another thread takes.
    pub fn save(&self) -> Result<(), Error> {
        let _order = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let record = self.record();
        Ok(self.records.put(self.id.as_str(), &record)?)
    }

    /// [`Container::change`], then [`Container::save`].
    pub fn update<R>(&self, change: impl FnOnce(&mut Record) -> R) -> Result<R, Error> {
        let result = self.change(change);
        self.save()?;
        Ok(result)
    }

    /// Removes the record from the store, and wakes those who wait for the removal.
    pub fn erase(&self) -> Result<(), Error> {
        let _order = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.records.delete(self.id.as_str())?;
        self.change(|record| record.gone = true);
        Ok(())
    }
}
