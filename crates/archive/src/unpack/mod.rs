//! Putting an archive's entries into a directory.

mod below;
mod create;
mod extract;
mod meta;
mod parents;
mod whiteouts;

use crate::{
    Limits, Result,
    blob::{Contents, UnpackedLayer},
    pipe,
    read::Reader,
    whiteout::Whiteouts,
};
use extract::Extractor;
use model::{ContainerGid, ContainerUid};
use std::{
    io::{self, BufRead, Read},
    os::fd::{BorrowedFd, OwnedFd},
};

pub use meta::OVERRIDE_STAT;

/// Who owns what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The archive's numbers, which are container IDs.
    Archive,
    /// The caller, who has but one mapped ID. The owner that the archive wants is kept in the extended attribute
    /// `user.containers.override_stat`, in the form that fuse-overlayfs and containers/storage share. Only files and
    /// directories can have it (xattr(7)).
    Recorded,
    /// One owner for everything (`copyUIDGID` of the Engine API).
    Fixed(ContainerUid, ContainerGid),
}

/// The layers below the one that is being unpacked, for what an archive leaves out.
pub trait Below: Send + Sync {
    /// A descriptor of the merged tree's root, or none when there is no layer below. Called at most once an archive,
    /// and only for archives that need it.
    ///
    /// # Errors
    /// Why the tree cannot be looked into.
    fn open(&self) -> io::Result<Option<OwnedFd>>;
}

/// How to unpack.
pub struct Options<'a> {
    pub whiteouts: Whiteouts,
    pub ownership: Ownership,
    /// Whether a directory may replace a file and a file a directory. `docker cp` says no.
    pub overwrite_kinds: bool,
    pub limits: Limits,
    pub below: Option<&'a dyn Below>,
}

/// Unpacks a layer blob, plain or compressed, below `root`, in one pass and with two threads.
///
/// `blob` is read to its end also when the archive ends earlier. A failure is not reported before a blocked read of
/// `blob` returns, so a source that can stall needs a time limit of its own.
///
/// # Errors
/// See [`crate::Error`]. What was unpacked before the failure stays.
pub fn layer(blob: impl Read + Send, root: BorrowedFd<'_>, options: &Options<'_>) -> Result<UnpackedLayer> {
    let (contents, facts) = pipe::decode(blob, &options.limits, |chunks| archive(chunks, root, options))?;
    Ok(UnpackedLayer {
        blob_digest: facts.blob_digest,
        blob_size: facts.blob_size,
        diff_id: facts.diff_id,
        archive_size: facts.archive_size,
        compression: facts.compression,
        contents,
    })
}

/// Unpacks a plain archive below `root`.
///
/// # Errors
/// See [`crate::Error`].
pub fn archive(source: impl BufRead, root: BorrowedFd<'_>, options: &Options<'_>) -> Result<Contents> {
    archive_within(source, root, &[], options)
}

/// The same with every path of the archive taken as one below the directory `within`, while links mean what they mean
/// from `root`.
pub(crate) fn archive_within(
    source: impl BufRead,
    root: BorrowedFd<'_>,
    within: &[&[u8]],
    options: &Options<'_>,
) -> Result<Contents> {
    let mut reader = Reader::new(source, &options.limits);
    let mut extractor = Extractor::new(root, within, options);
    while let Some(entry) = reader.next_entry()? {
        extractor.entry(entry, &mut reader)?;
    }
    reader.drain()?;
    extractor.finish()
}

#[cfg(test)]
mod tests;
