//! What can go wrong with an archive.

use model::ErrorKind;
use std::{
    io,
    path::{Path, PathBuf},
};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with the operation and the path in the archive or below the root that it concerns.
///
/// System call failures are written as Go writes them (`lchown /etc/shadow: invalid argument`): users search for
/// those texts, and the reference manual quotes them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source of the archive failed: a broken connection, a truncated file.
    #[error("read archive: {}", errno_text(.0))]
    Read(#[source] io::Error),

    /// The archive could not be handed on.
    #[error("write archive: {}", errno_text(.0))]
    Write(#[source] io::Error),

    /// A compression that exists and is not taken.
    #[error("{0} compression is not supported: use gzip, zstd, bzip2, xz, or none")]
    Compression(&'static str),

    /// The compressed data contradicts itself or ends early.
    #[error("decompress archive: {}", errno_text(.0))]
    Decompress(#[source] io::Error),

    /// The bytes are no archive, or one that different readers would read differently.
    #[error("malformed archive: {what}, at byte {offset}")]
    Malformed { what: Malformed, offset: u64 },

    /// More than [`crate::Limits`] allow.
    #[error("archive exceeds the limit of {limit} {what}: {path:?}")]
    Limit { what: &'static str, limit: u64, path: PathBuf },

    /// A hard link to something outside the tree, or to nothing.
    #[error("link {target:?} {path:?}: {}", errno_text(.source))]
    Link { path: PathBuf, target: PathBuf, source: io::Error },

    /// The ownership that the archive asks for was refused.
    #[error("lchown {}: {}{}", .path.display(), errno_text(.source), chown_hint(.source, *.uid, *.gid))]
    Chown { path: PathBuf, uid: u32, gid: u32, source: io::Error },

    /// Any other system call on a path of the tree.
    #[error("{operation} {}: {}", .path.display(), errno_text(.source))]
    File { operation: &'static str, path: PathBuf, source: io::Error },

    /// The option `noOverwriteDirNonDir` of the Engine API, in Docker's words.
    #[error("cannot overwrite {} {:?} with {} {:?}",
        if *.directory { "directory" } else { "non-directory" }, .existing.display().to_string(),
        if *.directory { "non-directory" } else { "directory" }, .root.display().to_string())]
    Overwrite { existing: PathBuf, directory: bool, root: PathBuf },

    /// `docker cp` into something that is no directory, in Docker's words.
    #[error("extraction point is not a directory")]
    NotADirectory { path: PathBuf },

    /// The layers below are needed (a hard link to one of their files, a directory that the archive implies), and
    /// could not be looked into.
    #[error("look up {} in the layers below: {}", .path.display(), errno_text(.source))]
    Below { path: PathBuf, source: io::Error },
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the header's checksum is wrong")]
    Checksum,
    #[error("the header's {0} is no number")]
    Number(&'static str),
    #[error("the archive ends within {0}")]
    Truncated(&'static str),
    #[error("the pax records are not LENGTH KEY=VALUE lines")]
    PaxRecord,
    #[error("the pax record {0:?} has no valid value")]
    PaxValue(String),
    #[error("{0} has a NUL byte")]
    Nul(&'static str),
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("the global pax record {0:?} would change every later entry for some readers only")]
    GlobalRecord(String),
    #[error("two extension headers of the same kind precede one entry")]
    RepeatedExtension,
    #[error("an extension header precedes no entry")]
    DanglingExtension,
    #[error("{0} carries data")]
    UnexpectedData(&'static str),
    #[error("the sparse map overlaps itself or the file's end")]
    SparseMap,
    #[error("the entry type {0:?} is unknown")]
    EntryType(char),
    #[error("the path {0:?} leads out of the archive")]
    Escape(PathBuf),
    #[error("a whiteout of {0:?} is none of a name")]
    Whiteout(PathBuf),
}

impl Error {
    /// For `map_err`: what was done to which path.
    pub(crate) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }

    /// What a client may do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Compression(_)
            | Self::Decompress(_)
            | Self::Malformed { .. }
            | Self::Limit { .. }
            | Self::Link { .. }
            | Self::Overwrite { .. }
            | Self::NotADirectory { .. } => ErrorKind::InvalidParameter,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Below { .. } => ErrorKind::Unavailable,
            Self::Read(_) | Self::Write(_) | Self::Chown { .. } | Self::File { .. } => ErrorKind::System,
        }
    }
}

/// The text of a system error as Go prints it: `invalid argument`, not `Invalid argument (os error 22)`.
pub fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else { return text };
    let text = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn chown_hint(error: &io::Error, uid: u32, gid: u32) -> String {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::INVAL) => format!(
            " (owner {uid}:{gid} is not mapped: give this user more entries in /etc/subuid and /etc/subgid, \
             65536 suffice for most images)"
        ),
        Some(rustix::io::Errno::PERM) => {
            " (is the data root on NFS? Set {\"data-root\":\"/somewhere-out-of-nfs\"} in daemon.json)"
                .to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chown_failures_keep_the_words_users_search_for() {
        let fail = |errno| Error::Chown {
            path: "/etc/shadow".into(),
            uid: 0,
            gid: 70_000,
            source: io::Error::from_raw_os_error(errno),
        };
        let invalid = fail(22).to_string();
        assert!(
            invalid.starts_with("lchown /etc/shadow: invalid argument (owner 0:70000 is not mapped"),
            "{invalid}"
        );
        let refused = fail(1).to_string();
        assert!(
            refused.starts_with("lchown /etc/shadow: operation not permitted (is the data root on NFS"),
            "{refused}"
        );
    }
}
