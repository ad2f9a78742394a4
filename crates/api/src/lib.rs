//! The Docker Engine API over HTTP: routes, version quirks, streaming, wire to engine and back.
//!
//! ```text
//! server (connections) ─▶ Request ─▶ routes (one match) ─▶ a file per resource ─▶ engine verb ─▶ Response
//! ```
//! * [`server`]: accept loop, half-close, hang-ups, hijacked connections. Knows nothing of the engine.
//! * [`routes`]: the one table of endpoints, then one file per resource that reads parameters and calls a verb.
//! * [`quirks`]: what differs between API versions, all in one place.
//! * [`error`]: what the API itself refuses, and the one map from classes of failure to statuses.
//!
//! # Invariants
//! * A verb that has begun runs to its end whether or not the client waits for it; what only waits or streams stops
//!   when the client leaves.
//! * Nothing is answered that the engine did not do: what Lichen lacks is refused with Docker's words.
#![forbid(unsafe_code)]

mod body;
mod error;
mod query;
mod quirks;
mod request;
mod response;
mod routes;
mod server;
mod stream;
mod upgrade;
mod version;
mod websocket;

pub use server::listener::Listener;
pub use version::ApiVersion;

use engine::Engine;
use std::{future::Future, sync::Arc};

/// Serves the API of `engine` on every listener until `shutdown`; requests in progress then have a moment to finish.
pub async fn serve(engine: Arc<Engine>, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) {
    server::run(Arc::new(routes::Api { engine }), listeners, shutdown).await;
}
