//! The child half of those drivers for outward connectivity whose programs have none: an interface in the router
//! namespace, and an address for it.
//!
//! # Theory of operation
//! One process per engine, which outlives it. It has up to three ends:
//!
//! ```text
//!   router namespace                      │ this process         │ host's namespaces
//!   bridges ── routing ── tap0 ── tap ────┼─ relay ── framing ───┼─ unix socket ── vpnkit, gvproxy ── sockets
//!                         tap0 ── udp:68 ─┼─ dhcp                │
//!              or ─────── tap0 ── veth ───┼──────────────────────┼─ bridge (lxc-user-nic), a DHCP server behind it
//! ```
//!
//! * **Relay**: vpnkit and gvproxy take Ethernet frames over a unix socket; this process starts the one that is wanted,
//!   shakes hands ([`vpnkit`]), makes the tap and carries frames ([`framing`]).
//! * **Lease**: all of them give out addresses by DHCP, so the interface is configured in one way ([`dhcp`]), and the
//!   lease is renewed for as long as this process lives.
//!
//! It ends when any part of it does: the program, its connection, the lease. Then the engine starts it again, so there is
//! one process to watch and one to end. The program dies with it (`PR_SET_PDEATHSIG`).
//!
//! The engine, which has netlink, sets the interface up in between; see [`talk`] for who says what when.
#![forbid(unsafe_code)]

mod args;
pub mod dhcp;
mod error;
pub mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod interface;
mod program;
mod relay;
mod run;
pub mod talk;
pub mod vpnkit;

pub use args::Protocol;
pub use error::Error;

use std::{ffi::OsString, process::ExitCode};

/// Runs `lichen-shim uplink` with these arguments, until something of it ends.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = args::Args::parse(arguments).map_err(Error::from).and_then(|args| run::run(&args));
    match outcome {
        Ok(never) => match never {},
        Err(error) => {
            // In one piece: what it talks with writes to the same file, and the standard library writes as it formats.
            let line = format!("uplink: {error}\n");
            eprint!("{line}");
            ExitCode::FAILURE
        }
    }
}
