//! The resolver at 127.0.0.11 of each container on a user-defined network.
//!
//! # Theory of operation
//! A UDP socket and a TCP listener are opened inside the container's own network namespace, on ports that are free
//! there: port 53 may be wanted by a server of the container's. The engine has packets to port 53 of that address led
//! to them. Queries for addresses of containers (A, AAAA, PTR) are answered from the [`zone::Zones`] that the
//! engine keeps up to date; everything else goes to the upstream servers one after another, and their answer goes back
//! unchanged but for its ID. A name that is known is never asked upstream, so that no name of a container leaks.
//!
//! ```text
//!   query ── known name? ── yes ─► answered at once (no address of that family: an empty answer)
//!              │ no
//!              ▼
//!            asked upstream ── answer ─► passed on
//!              │ no answer in time: the next server; after the last: SERVFAIL
//! ```
//!
//! A truncated answer is passed on as it is; the client then comes by TCP, and its connection is joined to one with the
//! first upstream server.

pub(crate) mod message;
pub(crate) mod resolver;
pub(crate) mod zone;
