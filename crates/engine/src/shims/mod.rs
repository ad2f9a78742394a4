//! The engine's side of the holder and the shims, which do everything that forks, mounts or joins a namespace.
//!
//! ```text
//! engine ── Spawn ─▶ holder ── fork, exec ─▶ shim        one connection each:
//!    └───────────── Create, Attach*, Start ──▶ shim        requests down, replies and events up
//! ```
//! * [`Shims`] asks the holder for shims, and connects to those there are.
//! * [`Shim`] is the connection to one of them: a method per request.
//! * [`client`] moves the frames.

pub mod client;
mod error;
mod holder;
mod shim;

pub use error::Error;
pub use holder::Shims;
pub use shim::{Events, Shim};
