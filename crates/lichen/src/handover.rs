//! What the launcher gives every engine process that it starts: one JSON document in a sealed memory file, and the
//! descriptors that it names.

use crate::settings::Settings;
use rootless::HolderState;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handover {
    pub settings: Settings,
    /// What the launcher warned about, for `docker info`.
    pub warnings: Vec<String>,
    pub holder: HolderState,
    /// The sealed `lichen-shim`.
    pub shim: i32,
    /// A socket to the launcher: the engine writes one byte when it serves, and its end of file means that the launcher
    /// is dead.
    pub control: i32,
    pub listeners: Vec<Listening>,
}

/// A listening socket. The launcher keeps its own descriptor, so that clients wait rather than fail while one engine
/// follows another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub fd: i32,
    pub kind: Kind,
    /// For messages: `unix:///run/user/1000/docker.sock`.
    pub address: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Unix,
    Tcp,
}

/// What the engine writes to [`Handover::control`] when it serves.
pub(crate) const READY: u8 = b'R';
