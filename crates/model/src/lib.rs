//! Words every crate shares: IDs, digests, error kinds, times, and the plans that cross a process border.
//!
//! This crate is a floor: it performs no I/O beyond reading the system's random source and clock, and depends on
//! nothing of ours.
#![forbid(unsafe_code)]

pub mod digest;
pub mod error;
pub mod id;
pub mod idmap;
pub mod layout;
pub mod names;
pub mod process;
pub mod rootfs;
pub mod time;

pub use digest::Digest;
pub use error::ErrorKind;
pub use id::Id;
pub use idmap::{ContainerGid, ContainerUid, HostGid, HostUid, IdMap, IdRange};
pub use layout::{DataLayout, RunLayout};
pub use process::ProcessRef;
pub use rootfs::{Rootfs, VOLATILE};
pub use time::Timestamp;
