//! Storage drivers: where the files of images and containers live.
//!
//! # Vocabulary
//! * A **layer** is the read-only result of one layer archive on top of its **parent**. It is named by its **chain ID**
//!   (OCI image-spec, config.md): the digest of the whole stack up to it, so that equal stacks are stored once.
//! * A **staged layer** is one that is being filled. Nobody else sees it, and it disappears unless it is committed.
//! * A **container's tree** is the writable view on top of one layer (or of nothing), named by the container's ID.
//! * A [`Rootfs`] is a *plan*: which directories a mount is made of. Drivers never mount what they hand out. The
//!   process that needs the tree performs the plan in its own mount namespace, and the mount disappears
//!   with its last user; there is no mount count to keep and nothing to unmount after a crash.
//!
//! # Lifecycle of a layer
//! ```text
//!   begin_layer(parent) ──► StagedLayer ── unpack / write below .root() ──► commit_layer(staged, chain)
//!                                │                                              │ rename
//!                                └─ dropped: removed         crash: removed     ▼
//!                                                            at next open     layer ──► remove_layer(chain)
//! ```
//! Where a layer is a directory of its own (overlays), it can be staged *ahead*, while its parent is being filled too
//! ([`Driver::begin_layer_ahead`]); commits are in order all the same.
//!
//! A commit writes the layer to the disk (one syncfs(2)) *before* the layer gets its name, and the name itself before
//! it returns. So after power loss a layer is complete or absent, and one whose commit had returned is there.
//!
//! ```no_run
//! # fn pull_one(driver: &dyn snapshot::Driver, parent: Option<&model::Digest>, blob: std::fs::File,
//! #             diff_id: &model::Digest, chain: &model::Digest) -> snapshot::Result<()> {
//! if driver.layer_exists(chain) {
//!     return Ok(());
//! }
//! let mut staged = driver.begin_layer(parent)?;
//! let found = staged.unpack(blob, &archive::Limits::default())?;
//! if found.diff_id != *diff_id {
//!     return Ok(()); // Not the layer that the configuration promised; `staged` removes itself.
//! }
//! match driver.commit_layer(staged, chain) {
//!     Err(snapshot::Error::LayerExists(_)) => Ok(()), // Someone else pulled the same layer meanwhile.
//!     other => other,
//! }
//! # }
//! ```
//!
//! # Lifecycle of a container's tree
//! ```no_run
//! # fn run_one(driver: &dyn snapshot::Driver, id: &model::Id, image: &model::Digest) -> snapshot::Result<()> {
//! driver.create_container(id, Some(image))?;
//! let plan = driver.rootfs(id)?; // to the shim, which mounts it, as often as the container starts
//! let changes = driver.changes(id)?; // `docker diff`
//! driver.diff(id, &mut std::io::sink())?; // the layer archive of `docker commit`
//! driver.remove_container(id)?;
//! # Ok(()) }
//! ```
//! Creating a tree is on the way of every `docker run`: a driver that can makes it without reading the layer's files
//! and without waiting for the disk.
//!
//! # Invariants
//! * Every method may be called from any thread at any time; two calls that name different things do not wait for each
//!   other's I/O.
//! * A layer's files never change, and a layer does not go before what stands on it.
//! * What is not committed does not exist: [`Driver::layer_exists`] never answers for a staged layer.
//! * Opening a driver collects what a crash left. No other time is safe for that, because only then is nobody at work.
//! * All of it runs in the engine's user namespace: owners are the container's, and only mapped ones can be stored.
//!   With a single mapped ID they are kept in extended attributes ([`archive::unpack::Ownership::Recorded`]).
//!
//! Blocking: each method does file I/O, and `unpack`, `diff` and `remove_*` much of it. Async callers use a thread.
#![forbid(unsafe_code)]

#[cfg(test)]
mod conformance;
mod damage;
pub mod error;
pub mod fs_type;
mod overlay;
pub mod select;
mod stack;
mod staged;
mod usage;
mod whole;

pub use archive::{Change, ChangeKind};
pub use damage::{Damage, Damaged};
pub use error::{Error, Result};
pub use model::Rootfs;
pub use select::{Selected, check_name, open};
pub use staged::{Arrival, StagedLayer};

use model::{Digest, Id};
use std::io::Write;

/// A storage driver. See the crate's documentation for the words and the order of calls.
pub trait Driver: Send + Sync {
    /// The name Docker gives it: `overlay2`, `fuse-overlayfs`, `btrfs`, `vfs`.
    fn name(&self) -> &'static str;

    /// What `docker info` shows below "Storage Driver", in its order.
    fn status(&self) -> Vec<(String, String)>;

    /// Whether the layer is committed. Answers from memory.
    fn layer_exists(&self, chain: &Digest) -> bool;

    /// Every committed layer, in no order.
    fn layers(&self) -> Vec<Digest>;

    /// The layer that `chain` stands on.
    ///
    /// # Errors
    /// [`Error::NoSuchLayer`].
    fn layer_parent(&self, chain: &Digest) -> Result<Option<Digest>>;

    /// Starts a layer on top of `parent`. Any number may be in the making at once, of the same parent too.
    ///
    /// # Errors
    /// [`Error::NoSuchLayer`] when the parent is not committed.
    fn begin_layer(&self, parent: Option<&Digest>) -> Result<StagedLayer>;

    /// Starts a layer on top of `parent`, which is in the making; none from a driver whose layers begin as copies of
    /// their parents. What an archive leaves out and only the layers below can tell waits for `arrival`: so the layer
    /// is the one that [`Driver::begin_layer`] would give, and whoever makes the parent must not wait for this one.
    fn begin_layer_ahead(&self, parent: &Digest, arrival: Arrival) -> Option<Result<StagedLayer>>;

    /// Makes a staged layer durable and visible under its chain ID, or removes it.
    ///
    /// # Errors
    /// [`Error::LayerExists`] when another one was committed first, which is as good as success for most callers;
    /// [`Error::NoSuchLayer`] when its parent was removed meanwhile, or is not committed yet.
    fn commit_layer(&self, staged: StagedLayer, chain: &Digest) -> Result<()>;

    /// Removes a layer that nothing stands on.
    ///
    /// # Errors
    /// [`Error::LayerInUse`] names a layer or container above it; [`Error::NoSuchLayer`].
    fn remove_layer(&self, chain: &Digest) -> Result<()>;

    /// What the layer itself added, without its parents.
    fn layer_usage(&self, chain: &Digest) -> Result<Usage>;

    /// A read-only view of the layer with its parents.
    fn layer_rootfs(&self, chain: &Digest) -> Result<Rootfs>;

    /// Makes the writable tree of a container on top of `layer`, or of nothing (`FROM scratch`).
    ///
    /// # Errors
    /// [`Error::ContainerExists`], [`Error::NoSuchLayer`].
    fn create_container(&self, id: &Id, layer: Option<&Digest>) -> Result<()>;

    /// Removes the tree; the caller has seen its last process end.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`].
    fn remove_container(&self, id: &Id) -> Result<()>;

    /// Every container that has a tree, in no order: what an engine compares with its records after a crash.
    fn containers(&self) -> Vec<Id>;

    /// The layer that the container's tree stands on.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`].
    fn container_layer(&self, id: &Id) -> Result<Option<Digest>>;

    /// How to mount the container's tree, writable.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`].
    fn rootfs(&self, id: &Id) -> Result<Rootfs>;

    /// What the container changed, sorted by path: `docker diff`.
    fn changes(&self, id: &Id) -> Result<Vec<Change>>;

    /// Writes what the container changed as an uncompressed layer archive: `docker commit`. The same tree gives the
    /// same bytes.
    fn diff(&self, id: &Id, out: &mut dyn Write) -> Result<()>;

    /// Compares what is on disk with what is known, and with `repair` puts right what can be. Contents of files are not
    /// looked at.
    ///
    /// # Errors
    /// When the driver's directories cannot be read; what is wrong in them is the answer.
    fn check(&self, repair: bool) -> Result<Vec<Damage>>;

    /// What the container itself wrote: `SizeRw`.
    fn container_usage(&self, id: &Id) -> Result<Usage>;
}

/// Space taken. Files with several hard links count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Sum of the sizes of regular files, as Docker counts.
    pub bytes: u64,
    /// Files, directories and everything else.
    pub inodes: u64,
}
