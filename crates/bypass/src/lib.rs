//! Sockets of the host's network for containers.
//!
//! # Theory of operation
//! A filter of seccomp(2) has connect(2) of a container's processes wait for an answer from the *supervisor*, a process
//! beside the container's shim, in the engine's user namespace and the host's network namespace. What goes to the
//! world by TCP the supervisor connects itself, with a socket of its own that has the options of the container's; then
//! it puts this socket in the place of the container's and says how the connect went. From there on the container's
//! program talks to the host's kernel directly. Everything else goes its ordinary way, by the container's own socket.
//!
//! ```text
//!   container               kernel                     supervisor
//!   connect(fd, address) ──► the thread waits ────────► takes a copy of the address and of the socket ([`caller`])
//!                                                       not for the world? ──► "go on" (CONTINUE)
//!                                                       a new socket, its options ([`options`]), tied to the
//!                                                       device that leads there ([`route`]), connect
//!                            fd is replaced ◄────────── connected, or on the way for a non-blocking socket
//!   returns ◄─────────────── 0 or an errno ◄─────────── answered
//! ```
//!
//! # What keeps a container where it may be
//! Not the filter of system calls: TCP fast open (`sendto` with an address connects), io_uring where it is allowed, a
//! system call of another architecture and a race with another thread all lead around it. So a socket of the host's
//! that a container gets is tied to the device that leads to its destination ([`route`]), and only who has
//! CAP_NET_RAW on the host can untie it: the host's loopback, and the host's own addresses, are out of its reach as
//! long as it exists, whoever uses it and how. For the same reason "go on" is harmless: whatever the container puts in
//! the place of the descriptor or the address meanwhile, it is a socket of its own, which network policy applies to,
//! or a tied one.
//!
//! The address is copied from the container's memory once, and what is decided about is what is connected to.
//!
//! # Who may go out
//! [`policy`]: written by the engine to a file, and read again when it has changed. No file means nobody.
#![forbid(unsafe_code)]

pub mod address;
mod caller;
mod listener;
mod notes;
mod options;
pub mod policy;
mod route;
mod supervisor;
mod verdict;
mod watched;

pub use notes::Notes;
pub use supervisor::{Hello, run, send_listener};
