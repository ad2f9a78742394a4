//! Engine → launcher: what only a process of the host's user namespace can do. The launcher stays there, and the engine
//! does not: a capability that a file gives counts in the one and not in the other, and a setuid program makes an
//! ordinary user of whoever runs it in the other (user_namespaces(7)).
//!
//! One request at a time, over a socket pair that the engine inherits and passes on to nobody.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the engine asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToLauncher {
    /// Bind a port below `net.ipv4.ip_unprivileged_port_start`. Answered by [`FromLauncher::Bound`].
    Bind { transport: Transport, address: SocketAddr },
    /// Give the network namespace of a process of the engine's an interface on the host's bridge, by lxc-user-nic(1).
    /// Answered by [`FromLauncher::Attached`].
    Attach { pid: u32, interface: String },
}

/// The launcher's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromLauncher {
    /// The socket comes with the frame.
    Bound,
    Attached,
    /// The kernel's reason.
    Refused {
        errno: i32,
    },
    /// Any other reason, to be shown.
    Failed {
        message: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    Tcp,
    Udp,
}

impl ToLauncher {
    /// The message's name, for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "Bind",
            Self::Attach { .. } => "Attach",
        }
    }
}
