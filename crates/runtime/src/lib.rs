//! OCI runtime core: from a specification to a process.
//!
//! # Theory of operation
//! A container is made in two phases (OCI runtime-spec, "Lifecycle"):
//!
//! ```text
//! caller (single-threaded)                     child
//! ─ create ─ clone3(namespaces) ─────────────▶ joins the namespaces given by path
//!            writes ID maps, runs hooks ◀─────▶ (only when there are any)
//!                                              mounts, pivot_root, masks, limits, user
//!                                              finds the program
//!            Created ◀── Ready ─────────────── waits for one byte
//! ─ start ── one byte ───────────────────────▶ startContainer hooks, seccomp, capabilities, execve
//!            Ok ◀── end of file ────────────── (the socket is close-on-exec)
//! ```
//!
//! Anything that fails in the child arrives in the caller as a [`Failure`]. `exec` is the same with one phase.
//!
//! # Invariants
//! * The caller is single-threaded (checked): the child is a copy of it and may therefore allocate.
//! * Paths below the container's root are resolved by openat2(2) with `RESOLVE_IN_ROOT`, and what was resolved is used
//!   by descriptor, never by name again.
//! * The child is not dumpable until execve(2), so nobody inside the container can open its files (CVE-2016-9962).
//! * No descriptor but 0, 1, 2 and those explicitly preserved survives execve(2).
#![forbid(unsafe_code)]

pub mod cgroup;
mod container;
mod devices;
mod error;
mod exec;
mod external;
mod hooks;
mod init;
mod masks;
mod mounts;
mod namespaces;
mod notify;
mod process;
mod report;
mod root;
mod runtimes;
pub mod seccomp;
mod spawn;
mod stdio;
mod sysctl;
mod warning;

pub use cgroup::Cgroup;
pub use container::{CreateOptions, Created, GivenMount, Pending, RootSource, StartGate, create};
pub use error::{Class, Error, Failure, Result};
pub use exec::{ExecOptions, Executing, exec};
pub use external::External;
pub use hooks::{run_poststart, run_poststop};
pub use init::personality;
pub use mounts::mount_options;
pub use notify::Listener;
pub use process::capability_names;
pub use runtimes::Runtime;
pub use stdio::{Stdio, WindowSize};
pub use warning::Warning;

pub use oci_spec;
