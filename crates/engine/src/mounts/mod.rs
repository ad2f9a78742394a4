//! Mounts of containers: as asked for, as recorded, as planned.
//!
//! [`parse`] is text to record and touches nothing; [`resolve`] makes the volumes, and [`images`] finds the images; [`plan`]
//! is what a start hands to the runtime.

pub(crate) mod images;
mod parse;
mod paths;
pub(crate) mod plan;
pub(crate) mod resolve;

pub(crate) use parse::Wanted;
pub use parse::{MountError, Reason};
pub use paths::clean;
