//! Verbs about the files of a container: copying in and out, the whole tree as an archive, what changed.
//!
//! # Where the files are looked at
//! * **Running**: below `/proc/PID/root` of its init, so with everything mounted in it. The descriptor is opened once,
//!   and the process is then checked to be the one that was meant.
//! * **Stopped**: below a detached mount of its tree ([`sys::overlay::mount_detached`]), which nobody else sees and
//!   which goes away with its descriptor. Volumes and bind mounts are not mounted there; a path below the destination
//!   of one is looked up below the mount's source instead.
//!
//! # Invariants
//! * A path that a container controls is resolved by the kernel below a directory descriptor (openat2(2),
//!   `RESOLVE_IN_ROOT`), never joined to a host path, so that a symbolic link swapped in at any time leads nowhere else
//!   (CVE-2018-15664, CVE-2026-41567).
//! * Nothing of the container is executed or loaded (CVE-2019-14271).

mod copy;
mod diff;
mod error;
mod export;
mod pipe;

mod root;

pub use copy::{PutRequest, get_archive, put_archive, stat_path};
pub use diff::changes;
pub use error::Error;
pub use export::export;
pub use pipe::ArchiveStream;
