//! Verbs about the engine as a whole.

mod check;
mod df;
mod host;
mod info;
pub mod time;
mod version;

pub use check::check;
pub use df::{DiskUsageParts, disk_usage};
pub(crate) use info::identity;
pub use info::info;
pub use version::version;

/// What this machine is called.
pub(crate) fn host_name() -> String {
    host::kernel().name
}
