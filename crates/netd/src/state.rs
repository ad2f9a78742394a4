//! What a forwarder leaves in `RunLayout::netd_state` for the next engine to find it by.

use model::ProcessRef;
use serde::{Deserialize, Serialize};

/// Who the forwarder is, and which router namespace it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub process: ProcessRef,
    /// Inode number of the namespace; a forwarder of another one is of no use.
    pub router_inode: u64,
    /// How it leads out, if it does.
    #[serde(default)]
    pub outward: Option<crate::outward::Settings>,
}
