//! The engine: containers from creation to removal, one file per verb.
//!
//! [`Engine`] is a bag of collaborators with public fields and no methods beyond opening it. What it can do are free
//! functions, one file a verb: [`create`], [`start`], [`stop`] … Each takes the engine and the few things it needs, and
//! reads top to bottom.
//!
//! * [`container`]: the record and state of one container, and the registry of all.
//! * [`events`]: what happened, for those who listen.
//! * [`shims`]: the asynchronous conversation with the holder and the shims, which do everything that forks.
//! * [`monitor`]: watches one running container, and decides what its end means (restart policy, `--rm`).
//! * [`adopt`]: what a new engine does about containers that an earlier one left, running or half-made.
//!
//! # Invariants
//! * The engine never forks itself and joins no namespace: it asks the holder and the shims.
//! * What must be undone after a death at any step is found from what is stored *before* the step
//!   ([`container::Pending`]), never from what a step would have stored after it.
//! * No lock is held across containers, and no step of a verb waits for the disk.
#![forbid(unsafe_code)]

pub mod adopt;
pub mod attach;
mod bypass;
pub mod cgroups;
pub mod config;
pub mod container;
pub mod create;
mod error;
mod etc_files;
pub mod events;
pub mod exec;
pub mod fault;
pub mod files;
pub mod filters;
mod health;
pub mod images;
mod init;
pub mod inspect;
pub mod kill;
mod links;
pub mod list;
pub mod live;
pub mod logs;
mod monitor;
mod mounts;
mod network_plan;
pub mod networks;
pub mod pause;
mod plan;
pub mod prune;
pub mod reload;
pub mod rename;
pub mod resize;
pub mod rest;
pub mod restart;
mod restart_policy;
pub mod rm;
pub mod shims;
pub mod shutdown;
pub mod signal;
pub mod start;
pub mod stats;
pub mod stop;
pub mod system;
#[cfg(test)]
mod testing;
pub mod top;
pub mod update;
pub mod volumes;
pub mod wait;

pub use config::Config;
pub use container::Container;
pub use error::Error;

use std::sync::Arc;

/// Everything a verb may need.
pub struct Engine {
    pub config: Config,
    pub store: store::Store,
    pub containers: container::Registry,
    pub execs: exec::Registry,
    pub images: Arc<image::ImageStore>,
    pub snapshots: Arc<dyn snapshot::Driver>,
    pub networks: Arc<network::Networks>,
    pub volumes: Arc<volume::Volumes>,
    pub shims: shims::Shims,
    pub events: events::Bus,
    /// Set when a graceful stop has begun: nothing starts any more, and exits do not restart.
    pub stopping: std::sync::atomic::AtomicBool,
    /// Set when [`adopt::adopt`] is done: until then nothing is started, because what an earlier engine left in the
    /// network is told from what is new by not being in the books, and a start enters it there last.
    pub adopted: tokio::sync::SetOnce<()>,
    /// Set by [`adopt::adopt`] when a container's record could not be read: the container is left out, and what it needs
    /// is not known, so nothing is removed for being unused.
    pub unread_records: std::sync::atomic::AtomicBool,
}

/// Runs blocking work (file system, network set-up) beside the event loop.
pub(crate) async fn blocking<R: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Panicked { operation })
}

/// Runs a verb to its end even if the one who awaits it goes away: a client that hangs up must not leave a verb half
/// done.
pub(crate) async fn detached<R: Send + 'static>(
    operation: &'static str,
    verb: impl Future<Output = Result<R, Error>> + Send + 'static,
) -> Result<R, Error> {
    tokio::spawn(verb).await.map_err(|_| Error::Panicked { operation })?
}
