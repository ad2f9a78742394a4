//! The holder and the shim as the engine meets them: over their sockets, as an unprivileged user, with real containers.

mod cost;
mod host;
mod lifecycle;
mod log_drivers;
mod namespaces;
mod streams;
mod survival;
