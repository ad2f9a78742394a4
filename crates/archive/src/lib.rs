//! Layer archives on directory descriptors: unpacking hostile ones, and writing exact ones.
//!
//! # Vocabulary
//! An *archive* is a tar stream (POSIX pax or ustar, GNU long names, GNU and pax sparse files). A *blob* is an archive
//! as a registry serves it: plain or [compressed](decompress). Its *digest* is the blob's, its *diff ID*
//! the archive's. A *layer archive* tells by [whiteouts](whiteout) what it removes from the layers below.
//!
//! # What it promises
//! * Nothing outside the directory descriptor it was given is read, changed, or made: each path of an archive is
//!   resolved by openat2(2) with `RESOLVE_IN_ROOT`, so that a symbolic link, whether it comes from the archive or is
//!   swapped in by a running container, leads nowhere else. No path is ever joined as a string and opened.
//! * Memory is bounded by [`Limits`], not by what the archive claims.
//! * One pass: decompression, both digests and the files happen while the blob streams through.
//! * What it writes is deterministic: the same tree gives the same bytes.
//!
//! # Where to start
//! * [`unpack::layer`]: a blob into a directory, with both digests (pull, load, import).
//! * [`unpack::archive`]: a plain archive into a directory (copying into a container).
//! * [`diff`]: what changed between two trees ([`Change`]), and those changes as a layer archive (diff, commit).
//! * [`pack`]: a whole tree, or one file of it, as an archive (export, copying out of a container).
//! * [`copy`]: the rules of `docker cp` on top of those two.
#![forbid(unsafe_code)]

pub mod at;
pub mod blob;
pub mod change;
pub mod copy;
pub mod decompress;
pub mod diff;
pub mod error;
pub mod limits;
pub mod mount_points;
pub mod pack;
pub(crate) mod path;
mod pipe;
pub mod read;
#[cfg(test)]
mod support;
pub mod unpack;
pub mod walk;
pub mod whiteout;
pub mod write;

pub use change::{Change, ChangeKind};
pub use error::{Error, Result};
pub use limits::Limits;
