//! The classes of failure that clients can act on.
//!
//! Each crate has its own error enum that carries operation, arguments and source, and a `kind()` that returns one of
//! these. The API maps a kind to an HTTP status in one file; the command line maps it to an exit code in another.

use serde::{Deserialize, Serialize};

/// What a client may do about a failure. The names follow containerd's `errdefs`, whose HTTP mapping Docker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request is malformed or asks for something impossible (400).
    InvalidParameter,
    /// The registry or the engine wants other credentials (401).
    Unauthorized,
    /// Understood, and refused (403).
    Forbidden,
    /// The named object does not exist (404).
    NotFound,
    /// The object's present state forbids the operation (409).
    Conflict,
    /// The object is already in the wanted state (304).
    NotModified,
    /// Something outside the engine is missing or down for now; the same call may succeed later (503).
    Unavailable,
    /// Docker has it and Lichen has not, or never will (501).
    NotImplemented,
    /// The caller went away or asked to stop (499 in logs; never answered).
    Cancelled,
    /// The host or the engine itself failed (500).
    System,
}
