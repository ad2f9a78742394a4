//! The resolver at 127.0.0.11 of each container on a user-defined network.
//!
//! # Theory of operation
//! A UDP socket and a TCP listener are opened inside the container's own network namespace, on ports that are free
//! there: port 53 may be wanted by a server of the container's. The engine has packets to port 53 of that address led
//! to them. Queries for addresses of containers (A, AAAA, PTR) are answered from the [`zone::Zones`] that the
//! engine keeps up to date; everything else goes to the upstream servers one after another, and their answer goes back
//! unchanged but for its ID. A name that is known is never asked upstream, so that no name of a container leaks.
//! Whose servers those are, and what is answered when, follows moby's resolver (`daemon/libnetwork/resolver.go`).
//!
//! ```text
//!   query ── known name? ── yes ─► answered at once (no address of that family: an empty answer)
//!              │ no
//!              ▼
//!            asked upstream ── answer ─► passed on
//!              │ no answer in time, or SERVFAIL or REFUSED: the next server; after the last: SERVFAIL
//! ```
//!
//! A query by TCP is treated the same and goes upstream by TCP; a truncated answer is passed on as it is, and the client
//! then comes by TCP. The host's own servers are asked from the host's network namespace, where its loopback
//! (127.0.0.53, say) is, and are looked up in its resolv.conf as that changes; servers that a container names are asked
//! from the router namespace.
//!
//! | from | who can do harm | what bounds it |
//! |---|---|---|
//! | a container | queries without end, connections that say nothing | queries under way and connections for each and for all, time-outs |
//! | an upstream server, or who forges one | answers to what was not asked | a connected socket, a random port and ID, the question compared |

pub(crate) mod client;
pub(crate) mod host;
pub(crate) mod message;
pub(crate) mod resolver;
pub(crate) mod upstream;
pub(crate) mod wire;
pub(crate) mod zone;
