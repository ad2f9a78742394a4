//! The harness of the end-to-end tests: engines started as an unprivileged user, driven by real clients.
//!
//! Each test has a [`Host`] of its own (home, run-time and data directories of the user `lichen-test`), so that tests
//! run side by side and none sees what another left. [`Engine::start`] starts `lichen daemon` there; [`Engine::docker`]
//! and [`Engine::lichen`] run a client against it. When the test ends, the engine is stopped as a user would stop it,
//! and a process that is still there afterwards fails the test.
#![forbid(unsafe_code)]

mod engine;
mod host;
mod images;
mod netns;
mod output;
mod processes;
mod registry;
mod sshd;

pub use engine::{Engine, program};
pub use host::Host;
pub use images::archive;
pub use netns::make_in_netns;
pub use output::Output;
pub use processes::{Process, kill_9, wait_until};
pub use registry::{Guards, Registry};
pub use sshd::Sshd;
