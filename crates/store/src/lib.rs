//! The engine's records: typed collections of JSON documents in one SQLite file.
//!
//! A [`Store`] is one database. A [`Collection<T>`] is a named set of documents of type `T`, each under a text key:
//!
//! ```
//! # #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)] struct Volume { driver: String }
//! # fn main() -> Result<(), store::Error> {
//! let store = store::Store::in_memory()?;
//! let volumes = store.collection::<Volume>("volumes");
//! volumes.put("data", &Volume { driver: "local".into() })?;
//! assert_eq!(volumes.get("data")?.unwrap().driver, "local");
//! # Ok(()) }
//! ```
//!
//! # Durability
//! The database is in WAL mode with `synchronous=NORMAL`: a committed change survives the death of the process at any
//! moment, and the file is always consistent after a power loss, which may however take the last changes with it
//! (<https://www.sqlite.org/pragma.html#pragma_synchronous>). That is what records of containers need: no write waits
//! for the disk, and a container that a power loss took is reported as it is found. What must not be lost once
//! promised (an image that was reported as pulled) calls [`Store::flush`].
//!
//! # Concurrency
//! One connection behind one lock: SQLite has one writer anyhow, and a change takes tens of microseconds.
//! A second process that opens the same file is refused (`locking_mode=EXCLUSIVE`), which also spares the shared-memory
//! file.
#![forbid(unsafe_code)]

mod error;

pub use error::Error;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// The layout of the tables this code reads and writes (`PRAGMA user_version`).
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (collection, key)
) STRICT, WITHOUT ROWID";

/// One open database; clones share it.
#[derive(Clone)]
pub struct Store {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    /// Opens the database at `path`, making it when absent.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it open; [`Error::Newer`] when a later release wrote it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let connection = Connection::open(path).map_err(|source| Error::open(path, source))?;
        Self::prepare(path, connection)
    }

    /// A database that is gone with the value, for tests.
    pub fn in_memory() -> Result<Self, Error> {
        let path = Path::new(":memory:");
        let connection = Connection::open_in_memory().map_err(|source| Error::open(path, source))?;
        Self::prepare(path, connection)
    }

    fn prepare(path: &Path, connection: Connection) -> Result<Self, Error> {
        let failed = |source| Error::open(path, source);
        // Exclusive locks make waiting pointless, but a predecessor that was just killed may not be reaped yet.
        connection.busy_timeout(std::time::Duration::from_millis(200)).map_err(failed)?;
        // Exclusive before WAL: the shared-memory file is then never made (sqlite.org/wal.html, section 8).
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version > SCHEMA_VERSION {
            return Err(Error::Newer { path: path.to_owned(), found: version, known: SCHEMA_VERSION });
        }
        connection.execute_batch(SCHEMA).map_err(failed)?;
        if version < SCHEMA_VERSION {
            connection.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
        }
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self { path: Arc::new(path.to_owned()), connection: Arc::new(Mutex::new(connection)) })
    }

    /// The set of documents called `name`. Sets need not be declared; an unknown one is empty.
    pub fn collection<T>(&self, name: &'static str) -> Collection<T> {
        Collection { store: self.clone(), name, document: PhantomData }
    }

    /// Runs `change` as one change: all of what it writes through the [`Batch`] becomes visible, or, when it fails,
    /// none of it.
    ///
    /// `change` must not use this store's collections directly: the store is locked meanwhile.
    pub fn batch<R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut connection = self.lock();
        let failed = |source| Error::operation(&self.path, "change", "*", "*", source);
        let transaction = connection.transaction().map_err(failed)?;
        let result = change(&mut Batch { path: &self.path, transaction: &transaction })?;
        transaction.commit().map_err(failed)?;
        Ok(result)
    }

    /// What is wrong with the file itself, by SQLite's own account (`PRAGMA integrity_check`); empty when nothing is.
    pub fn damage(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::operation(&self.path, "check", "*", "*", source);
        let connection = self.lock();
        let mut statement = connection.prepare("PRAGMA integrity_check").map_err(failed)?;
        let lines: Result<Vec<String>, _> =
            statement.query_map([], |row| row.get(0)).and_then(Iterator::collect);
        Ok(lines.map_err(failed)?.into_iter().filter(|line| line != "ok").collect())
    }

    /// Returns when everything written so far is on the disk.
    pub fn flush(&self) -> Result<(), Error> {
        self.lock()
            .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
            .map_err(|source| Error::operation(&self.path, "flush", "*", "*", source))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held cannot have left a half-made change: the transaction rolled back on drop.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A key with its document, or with why that could not be read.
pub type Lossy<T> = (String, Result<T, Error>);

/// A named set of documents of type `T`.
pub struct Collection<T> {
    store: Store,
    name: &'static str,
    document: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), name: self.name, document: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned> Collection<T> {
    /// Writes `document` under `key`, replacing what was there.
    pub fn put(&self, key: &str, document: &T) -> Result<(), Error> {
        put(&self.store.lock(), &self.store.path, self.name, key, document)
    }

    /// Writes `document` under `key` unless something is there already; tells whether it did.
    pub fn insert(&self, key: &str, document: &T) -> Result<bool, Error> {
        let json = encode(&self.store.path, self.name, key, document)?;
        self.store
            .lock()
            .prepare_cached("INSERT OR IGNORE INTO documents (collection, key, json) VALUES (?1, ?2, ?3)")
            .and_then(|mut s| s.execute(params![self.name, key, json]))
            .map(|rows| rows == 1)
            .map_err(|source| self.failed("insert", key, source))
    }

    pub fn get(&self, key: &str) -> Result<Option<T>, Error> {
        let json: Option<String> = self
            .store
            .lock()
            .prepare_cached("SELECT json FROM documents WHERE collection = ?1 AND key = ?2")
            .and_then(|mut s| s.query_row(params![self.name, key], |row| row.get(0)).optional())
            .map_err(|source| self.failed("get", key, source))?;
        json.map(|json| self.decode(key, &json)).transpose()
    }

    /// Removes what is under `key`; tells whether there was anything.
    pub fn delete(&self, key: &str) -> Result<bool, Error> {
        delete(&self.store.lock(), &self.store.path, self.name, key)
    }

    /// Every key and document, by key.
    ///
    /// # Errors
    /// [`Error::Document`] when one of them is not a `T`; [`Collection::list_lossy`] goes on past those.
    pub fn list(&self) -> Result<Vec<(String, T)>, Error> {
        self.rows()?.into_iter().map(|(key, json)| self.decode(&key, &json).map(|d| (key, d))).collect()
    }

    /// Every key with its document, or with why it could not be read: for opening a store that must open.
    pub fn list_lossy(&self) -> Result<Vec<Lossy<T>>, Error> {
        Ok(self.rows()?.into_iter().map(|(key, json)| (key.clone(), self.decode(&key, &json))).collect())
    }

    fn rows(&self) -> Result<Vec<(String, String)>, Error> {
        self.store
            .lock()
            .prepare_cached("SELECT key, json FROM documents WHERE collection = ?1 ORDER BY key")
            .and_then(|mut s| {
                s.query_map(params![self.name], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(|source| self.failed("list", "*", source))
    }

    fn decode(&self, key: &str, json: &str) -> Result<T, Error> {
        serde_json::from_str(json).map_err(|source| Error::Document {
            path: self.store.path.to_path_buf(),
            collection: self.name,
            key: key.to_owned(),
            source,
        })
    }

    fn failed(&self, operation: &'static str, key: &str, source: rusqlite::Error) -> Error {
        Error::operation(&self.store.path, operation, self.name, key, source)
    }
}

/// Several changes that happen together; see [`Store::batch`].
pub struct Batch<'a> {
    path: &'a Path,
    transaction: &'a rusqlite::Transaction<'a>,
}

impl Batch<'_> {
    pub fn put<T: Serialize>(&mut self, set: &Collection<T>, key: &str, document: &T) -> Result<(), Error> {
        put(self.transaction, self.path, set.name, key, document)
    }

    pub fn delete<T>(&mut self, set: &Collection<T>, key: &str) -> Result<bool, Error> {
        delete(self.transaction, self.path, set.name, key)
    }
}

fn encode<T: Serialize>(
    path: &Path,
    collection: &'static str,
    key: &str,
    document: &T,
) -> Result<String, Error> {
    serde_json::to_string(document).map_err(|source| Error::Document {
        path: path.to_owned(),
        collection,
        key: key.to_owned(),
        source,
    })
}

fn put<T: Serialize>(
    c: &Connection,
    path: &Path,
    set: &'static str,
    key: &str,
    document: &T,
) -> Result<(), Error> {
    let json = encode(path, set, key, document)?;
    c.prepare_cached("INSERT OR REPLACE INTO documents (collection, key, json) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![set, key, json]))
        .map(drop)
        .map_err(|source| Error::operation(path, "put", set, key, source))
}

fn delete(c: &Connection, path: &Path, set: &'static str, key: &str) -> Result<bool, Error> {
    c.prepare_cached("DELETE FROM documents WHERE collection = ?1 AND key = ?2")
        .and_then(|mut s| s.execute(params![set, key]))
        .map(|rows| rows == 1)
        .map_err(|source| Error::operation(path, "delete", set, key, source))
}

#[cfg(test)]
mod tests;
