//! What can go wrong with the database.

use model::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("open database {path}: {source}: check that the directory exists, is yours, and has room", path = path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("open database {path}: another process has it open: stop the other engine, or choose another --data-root", path = path.display())]
    InUse { path: PathBuf },
    #[error("open database {path}: it was written by a later release (schema {found}, this one knows {known}): upgrade Lichen", path = path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{operation} record {collection}/{key} in {path}: {source}", path = path.display())]
    Operation {
        path: PathBuf,
        operation: &'static str,
        collection: &'static str,
        key: String,
        source: rusqlite::Error,
    },
    #[error("read record {collection}/{key} in {path}: {source}", path = path.display())]
    Document { path: PathBuf, collection: &'static str, key: String, source: serde_json::Error },
}

impl Error {
    pub(crate) fn open(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Self::InUse { path: path.to_owned() }
            }
            _ => Self::Open { path: path.to_owned(), source },
        }
    }

    pub(crate) fn operation(
        path: &Path,
        operation: &'static str,
        collection: &'static str,
        key: &str,
        source: rusqlite::Error,
    ) -> Self {
        Self::Operation { path: path.to_owned(), operation, collection, key: key.to_owned(), source }
    }

    pub fn kind(&self) -> ErrorKind {
        ErrorKind::System
    }
}
