//! Verbs about the engine as a whole.

mod df;
mod host;
mod info;
pub mod time;
mod version;

pub use df::{DiskUsageParts, disk_usage};
pub use info::info;
pub use version::version;
