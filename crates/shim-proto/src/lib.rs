//! What the engine, the holder, the shims and the launcher say to each other, and how it travels.
//!
//! Three conversations, each with one message enum per direction:
//!
//! * [`holder`]: engine, launcher or shim → holder ([`ToHolder`]), and its replies ([`FromHolder`]);
//! * [`shim`]: engine → shim ([`ToShim`]), and its replies and events ([`FromShim`]);
//! * [`launcher`]: engine → launcher ([`ToLauncher`]), and its replies ([`FromLauncher`]).
//!
//! [`wire`] turns messages into frames and back and moves descriptors beside them; it is sans-IO but for one `sendmsg`
//! and one `recvmsg`, so that it serves a blocking [`Connection`] as well as a task on an async runtime
//! (`stream.async_io(Interest::READABLE, || wire::receive(&stream, &mut decoder))`).
//! Sequence diagrams: `docs/protocols.md`. Which request a shim accepts when: [`stage`].
#![forbid(unsafe_code)]

pub mod connection;
pub mod error;
pub mod holder;
pub mod launcher;
pub mod shim;
pub mod stage;
pub mod stats;
pub mod wire;

pub use connection::Connection;
pub use error::{Failure, FailureClass, ProtoError};
pub use holder::{FromHolder, OrphanExit, ToHolder};
pub use launcher::{FromLauncher, ToLauncher, Transport};
pub use shim::{
    Attach, Cgroup, Create, DetachKeys, Exec, ExecExit, ExecStatus, ExitRecord, FromShim, ImageMount, Io,
    LogConfig, RuntimeChoice, ShimStatus, Target, ToShim, UserRequest, WindowSize,
};
pub use stage::Stage;
pub use stats::Stats;
pub use wire::{Decoder, Envelope, Received};
