//! Getting an unprivileged user a user namespace with many IDs, and keeping it.
//!
//! # Theory of operation
//! ```text
//! launcher (host)                          holder (lichen-shim holder)
//! ─ ensure ─ spawn ──────────────────────▶ daemonise, unshare(user)
//!            ◀─────────────── Unshared ──── waits
//!   newuidmap, newgidmap
//!            ── Mapped ──────────────────▶ become UID 0, unshare(mount), rslave, copy-up of /etc and /run,
//!                                          bind a new network namespace with lo up to `router.net`
//!            ◀────────────────── Ready ──── holder.json written, listening; serves until told to end
//! ```
//! [`fn@ensure`] finds a holder that still runs by its state file ([`state`]), or re-makes a killed one in the namespaces
//! of any process that survived it, or makes all of this anew. Joining needs no newuidmap: the owner of a user namespace
//! may enter it (user_namespaces(7), "Capabilities").
//!
//! # Invariants
//! * A process is never trusted by its PID alone: start time and user namespace inode must match what was recorded.
//! * The holder never leaves the host's network namespace: what it starts is to be in it. The router namespace is kept
//!   by a bind mount inside the holder's mount namespace, so it lasts as long as any process in there.
//! * Whatever unshares or joins namespaces is single-threaded: the holder, and the launcher's child before it executes.
#![forbid(unsafe_code)]

mod apparmor;
mod bootstrap;
mod copy_up;
mod ensure;
pub mod enter;
mod error;
pub mod holder;
mod map;
mod newidmap;
pub mod selinux;
pub mod state;
pub mod subid;
mod survivors;
mod user;

pub use apparmor::AppArmor;
pub use ensure::{Ensure, Found, Holder, ensure};
pub use error::{Error, Result, SANDBOXED};
pub use map::{Mapping, plan};
pub use state::HolderState;
pub use subid::Kind;
pub use user::User;
