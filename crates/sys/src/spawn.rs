//! Giving a program that is about to be executed the descriptors it expects under fixed numbers.

use crate::{Error, Result};
use nix::libc;
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Duplicates each descriptor to its number, inheritable, and marks all others from 3 on close-on-exec.
///
/// For a freshly forked child that executes a program next: the numbers may have belonged to something else in the
/// process, and whatever owns them there must not be used (nor dropped) afterwards.
pub fn arrange(fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<()> {
    crate::fds::cloexec_from(3)?;
    let floor = fds.iter().map(|(_, number)| number + 1).max().unwrap_or(3);
    // Above every target first, so that no target overwrites a source that is still needed.
    let high = fds
        .iter()
        .map(|(fd, number)| rustix::io::fcntl_dupfd_cloexec(fd, floor).map(|copy| (copy, *number)))
        .collect::<Result<Vec<_>, Errno>>()
        .map_err(Error::of("fcntl", "F_DUPFD_CLOEXEC"))?;
    for (copy, number) in &high {
        // SAFETY: both are plain numbers to the kernel; that `number` may belong to a value of this process is the
        // caller's part, as documented: the process executes another program next.
        if unsafe { libc::dup2(copy.as_raw_fd(), *number) } < 0 {
            return Err(Error::last("dup2", format!("{number}")));
        }
    }
    Ok(())
}
