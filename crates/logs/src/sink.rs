//! Where entries go from a process that does nothing else: one that may wait for a disk or a server.

use crate::{Config, Entry, Error, Remote, Result, Writer, journald::Journald, syslog::Syslog};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Whose entries they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub id: String,
    pub name: String,
    pub image: String,
    /// `--log-opt tag=…`, rendered.
    pub tag: String,
    /// The labels and variables that were asked for.
    pub attributes: BTreeMap<String, String>,
}

/// The receiving end of one container's log, outside its shim.
#[derive(Debug)]
pub enum Sink {
    File(Box<Writer>),
    Journald(Box<Journald>),
    Syslog(Box<Syslog>),
}

impl Sink {
    /// For `config`'s remote if it has one, else for its file at `path`; none for a driver that has neither.
    pub fn open(config: &Config, path: &Path, identity: Identity) -> Result<Option<Self>> {
        Ok(match (&config.remote, &config.file) {
            (Some(Remote::Journald), _) => Some(Self::Journald(Box::new(Journald::new(
                PathBuf::from(crate::journald::SOCKET),
                &identity,
            )?))),
            (Some(Remote::Syslog(options)), _) => {
                Some(Self::Syslog(Box::new(Syslog::new((**options).clone(), identity)?)))
            }
            (None, Some(file)) => {
                Some(Self::File(Box::new(Writer::open(*file, path, &identity.attributes)?)))
            }
            (None, None) => None,
        })
    }

    /// Whether somebody takes entries there at present. It may take as long as making a connection does.
    pub fn check(&mut self) -> Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Journald(journal) => journal.check(),
            Self::Syslog(server) => server.connect(),
        }
    }

    /// Hand one entry over, waiting for as long as a send may take. After an error it may be tried again
    /// ([`Sink::is_worth_retrying`]); the connection is made anew.
    pub fn deliver(&mut self, entry: &Entry) -> Result<()> {
        match self {
            Self::File(writer) => {
                let outcome = writer.append_entry(entry);
                if let Some(rotated) = writer.take_compression() {
                    let compressed = crate::compress(&rotated);
                    writer.compressed();
                    compressed?;
                }
                outcome
            }
            Self::Journald(journal) => journal.deliver(entry),
            Self::Syslog(server) => server.deliver(entry),
        }
    }

    /// Whether what failed may succeed later: a server comes back, while an entry that a full disk cut short would be
    /// written twice.
    pub fn is_worth_retrying(error: &Error) -> bool {
        matches!(
            error,
            Error::NoJournal { .. }
                | Error::Journal { .. }
                | Error::Syslog { .. }
                | Error::Tls { .. }
                | Error::NoAuthorities
        )
    }
}
