//! What the forwarder of an engine forwards at the moment; the engine itself need not run.

use crate::error::Result;
use model::RunLayout;
use netd::client::Client;
pub use netd::flows::{Direction, Flow, FlowProtocol, State};

/// The flows, and how many there are beyond those that are listed.
pub fn list(run: &RunLayout) -> Result<(Vec<Flow>, usize)> {
    Ok(Client::connect(&run.netd_socket())?.flows()?)
}
