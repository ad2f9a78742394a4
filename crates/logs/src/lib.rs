//! Container logs: what a shim writes and the engine reads.
//!
//! Drivers: [`Driver::JsonFile`] (byte for byte Docker's `json-file`), [`Driver::Local`] (compact, see [`local`]),
//! [`Driver::None`], [`Driver::Journald`] and [`Driver::Syslog`]. What the last two send away, a log in the format of
//! `local` keeps a copy of, from which it is read back (Docker's dual logging). A log is a file and its rotated predecessors: `path`, `path.1`, `path.2` … `path.N`, the numbered
//! ones possibly as `path.N.gz`.
//!
//! * [`Writer`]: cuts raw output into entries and appends them, rotating by size. One writer a log.
//! * [`Reader`]: entries in order across rotations, by tail, since, until. It may run beside the writer; at the end of
//!   the log [`Reader::entry`] returns none, and can be asked again after [`Watch`] saw a change (`--follow`).
//! * [`Sink`]: where entries go that something has to be waited for: in a process of its own.
//!
//! # Invariants
//! * Each entry goes out by one `write`, so that a killed writer leaves at most one torn entry, at the end; the next
//!   writer cuts it off and readers stop before it.
//! * Rotation renames, never truncates: a reader that holds a rotated file still reads all of it.
#![forbid(unsafe_code)]

mod config;
mod entry;
mod error;
mod journald;
pub mod json_file;
pub mod local;
mod options;
mod reader;
mod rotation;
mod sink;
mod split;
mod syslog;
pub mod tag;
mod tail;
mod watch;
mod writer;

pub use config::{Config, Driver, FileConfig, Format, Mode, Remote};
pub use entry::{Entry, Stream};
pub use error::{Error, Result};
pub use reader::{ReadOptions, Reader, Tail};
pub use rotation::compress;
pub use sink::{Identity, Sink};
pub use split::Splitter;
pub use watch::Watch;
pub use writer::Writer;
