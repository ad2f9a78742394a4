//! What the forwarder of an engine forwards at the moment; the engine itself need not run.

use crate::error::Result;
use model::RunLayout;
use netd::client::Client;
pub use netd::flows::{Direction, Flow, FlowProtocol, State};

/// What passes, and what does not.
#[derive(Debug)]
pub struct Listed {
    pub flows: Vec<Flow>,
    /// How many there are beyond those.
    pub left_off: usize,
    /// What has gone wrong in the last minutes and what to do about it, a line each.
    pub troubles: Vec<String>,
}

/// Asks the forwarder.
pub fn list(run: &RunLayout) -> Result<Listed> {
    let mut client = Client::connect(&run.netd_socket())?;
    let (flows, left_off) = client.flows()?;
    // One of an earlier release knows of none.
    let troubles = client.troubles().unwrap_or_default();
    Ok(Listed { flows, left_off, troubles })
}
