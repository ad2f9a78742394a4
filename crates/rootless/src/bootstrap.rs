//! The handshake between the launcher and a holder in the making; see the crate's theory of operation.

use crate::state::HolderState;
use serde::{Deserialize, Serialize};

/// What a new holder tells the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromNewHolder {
    /// In a new user namespace, without maps. `pid` is the one to map.
    Unshared {
        pid: u32,
    },
    /// unshare(2) failed with this error number.
    CannotUnshare {
        errno: i32,
    },
    /// Listening.
    Ready {
        state: HolderState,
    },
    Failed {
        step: String,
        message: String,
    },
}

/// What the launcher tells a new holder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToNewHolder {
    /// Both maps are written.
    Mapped { single_id: bool },
}

impl FromNewHolder {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unshared { .. } => "Unshared",
            Self::CannotUnshare { .. } => "CannotUnshare",
            Self::Ready { .. } => "Ready",
            Self::Failed { .. } => "Failed",
        }
    }
}
