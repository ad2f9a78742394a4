//! The only crate with unsafe code: small wrappers, by topic, of the system calls that rustix and nix lack, and the few
//! compositions of them (an overlay mount, a sealed program) that more than one crate needs.
//!
//! Use rustix first, nix second; add a file here for the rest. Every `unsafe` block says why it is sound.
//! `docs/kernel-features.md` lists the kernel each feature needs and what happens without it.

pub mod btrfs;
pub mod caps;
pub mod clone;
mod error;
pub mod fds;
pub mod fuse_overlay;
pub mod heap;
pub mod keyring;
pub mod loopback;
pub mod memfd;
pub mod mount;
pub mod namespaces;
pub mod net;
pub mod notify;
pub mod overlay;
pub mod pidfd;
pub mod pidfd_info;
pub mod process;
pub mod pty;
pub mod resolve;
pub mod seccomp;
pub mod signals;
pub mod socket;
pub mod sockopt;
pub mod spawn;
pub mod subtree;
#[doc(hidden)]
pub mod testing;
pub mod tun;

pub use error::{Error, Result};
