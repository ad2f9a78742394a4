//! Anyone of ours → holder. Requests on one connection are answered in order; there are no events.

use crate::{Failure, ProtoError};
use model::ProcessRef;
use serde::{Deserialize, Serialize};

/// A request to the holder. It answers nobody but its own user (`SO_PEERCRED`).
#[derive(Debug, Serialize, Deserialize)]
pub enum ToHolder {
    /// Make a shim: a fork of the holder that goes on as `lichen-shim` with `args`, which begin with `shim`. Answered by
    /// [`FromHolder::Spawned`].
    ///
    /// Descriptors: as many as `fds` has entries; the child sees them under the numbers in `fds`. It has no other
    /// descriptors but `/dev/null` on 0 and 1, the holder's log on 2, and a connection to the holder, whose number the
    /// holder adds to the arguments as `--holder`.
    Spawn { args: Vec<String>, fds: Vec<i32> },
    /// Keep the descriptors that come with this frame, in order, under `key`, replacing what was there.
    /// Answered by [`FromHolder::Done`].
    Keep { key: String },
    /// Hand out copies of what is kept under `key`; they stay kept. Answered by [`FromHolder::Taken`].
    Take { key: String },
    /// Close what is kept under `key`; no error when there is nothing. Answered by [`FromHolder::Done`].
    Drop { key: String },
    /// Which processes that nobody else was there to reap has the holder reaped? Answered by [`FromHolder::Exits`].
    /// Each is also a file below `RunLayout::holder_exits()`, written before it is listed.
    Exits,
    /// Forget these entries of the list, and their files. Answered by [`FromHolder::Done`].
    ForgetExits { pids: Vec<u32> },
    /// Descriptors of the holder's namespaces: user, mount, detached network, in this order.
    /// Answered by [`FromHolder::Namespaces`].
    Namespaces,
    /// Answered by [`FromHolder::Pong`].
    Ping,
    /// End the holder. While it still has children it refuses, or with `wait` answers when the last of them has ended;
    /// who no longer wants to wait hangs up. Answered by [`FromHolder::Done`] or `Failed`, when nothing of the holder is
    /// left but its process, which ends next.
    Shutdown { wait: bool },
}

/// The holder's answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromHolder {
    Spawned { process: ProcessRef },
    Taken,
    Exits { exits: Vec<OrphanExit> },
    Namespaces,
    Pong { process: ProcessRef, kept: usize, children: usize },
    Done,
    Failed(Failure),
}

/// An orphan that the holder reaped: a shim, or what a killed shim left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanExit {
    pub pid: u32,
    /// The wait status as the shell writes it: the exit code, or 128 + the signal's number.
    pub code: i32,
    pub at: model::Timestamp,
}

impl ToHolder {
    /// The message's name, for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Spawn { .. } => "Spawn",
            Self::Keep { .. } => "Keep",
            Self::Take { .. } => "Take",
            Self::Drop { .. } => "Drop",
            Self::Exits => "Exits",
            Self::ForgetExits { .. } => "ForgetExits",
            Self::Namespaces => "Namespaces",
            Self::Ping => "Ping",
            Self::Shutdown { .. } => "Shutdown",
        }
    }
}

impl FromHolder {
    /// The message's name, for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Spawned { .. } => "Spawned",
            Self::Taken => "Taken",
            Self::Exits { .. } => "Exits",
            Self::Namespaces => "Namespaces",
            Self::Pong { .. } => "Pong",
            Self::Done => "Done",
            Self::Failed(_) => "Failed",
        }
    }

    /// The error for a reply that does not fit its request.
    pub fn unexpected(self, expected: &'static str) -> ProtoError {
        match self {
            Self::Failed(failure) => ProtoError::Failed(failure),
            other => ProtoError::Unexpected { got: other.name(), expected },
        }
    }
}
