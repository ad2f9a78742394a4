//! Images: references, manifests, content, load and save, the registry transport.
//!
//! # Vocabulary
//! * A [`Reference`] names an image for people: a tag (`busybox:1.36`), or a repository digest
//!   (`busybox@sha256:…`, the digest of the manifest or index it was pulled by).
//! * An **image** is its configuration ([`config::ImageConfig`]); its **ID** is the digest of those bytes.
//! * A **layer** belongs to the storage driver, under its chain ID ([`chain`]). Layers have no owner: an image record
//!   lists diff IDs, and a layer that no image and no container needs is garbage.
//!
//! # Where things are
//! * Records (crate `store`): images, references, layers ([`records`]). All of them are also held in memory, because
//!   every `create` and `ps` looks images up.
//! * [`content`]: configurations and manifests, verbatim, by digest; verified whenever they are read.
//! * Layers: the storage driver.
//!
//! # Invariants
//! * A record is written after what it promises is on the disk, and removed before it. So a crash leaves garbage, which
//!   [`ImageStore::collect_garbage`] removes, and never a promise that is not kept.
//! * What an operation in progress needs is pinned ([`Pin`]) and survives any concurrent removal.
//! * Nothing is believed because a registry or an archive says so: each byte is checked against the digest that led
//!   to it, and the digest in turn against what the user asked for.
//!
//! # Async
//! [`ImageStore::pull`], `load`, `import`, `commit` and the registry calls are async; everything else is short and
//! synchronous.
#![forbid(unsafe_code)]

mod add;
mod blob;
mod catalog;
pub mod chain;
pub mod changes;
mod check;
mod claims;
pub mod commit;
pub mod config;
pub mod content;
#[cfg(test)]
mod crash;
mod digester;
pub mod embedded;
pub mod error;
mod exact;
#[cfg(test)]
mod fake;
mod framing;
mod glob;
mod gzip;
pub mod images;
pub mod import;
pub mod index;
pub mod inspect;
#[cfg(test)]
mod lab;
mod layers;
pub mod list;
pub mod load;
pub mod manifest;
mod open;
pub mod platform;
pub mod progress;
pub mod prune;
pub mod pull;
pub mod push;
pub mod records;
pub mod registry;
pub mod remove;
pub mod save;
mod stack;
#[cfg(test)]
mod stress;
mod task;

pub use check::DamagedLayer;
pub use commit::CommitRequest;
pub use config::{ContainerConfig, ImageConfig};
pub use error::{Error, Result};
pub use images::{Image, ImageStore, Pin};
pub use import::{ImportRequest, Imported};
pub use inspect::{HistoryLine, Inspect};
pub use list::{ListFilter, Summary};
pub use load::{LoadOptions, Loaded};
pub use platform::Platform;
pub use progress::{Message, Progress};
pub use prune::Pruned;
pub use pull::{PullRequest, Pulled};
pub use push::{PushRequest, Pushed};
pub use reference::{self, Reference};
pub use registry::{Patience, RegistryAuth, RegistryConfig};
pub use remove::{ContainerUse, RemoveOptions, Removed, TopLayer};
