//! Giving a program that is about to be executed, or a copy of this one, the descriptors it expects under fixed numbers.

use crate::{
    Error, Result,
    clone::{Child, Fork},
};
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

/// Forks a copy of this single-threaded process that has `fds` under their numbers, 0, 1 and 2 as they are, and no other
/// descriptor; it runs `body` with `arguments` and ends with the status that comes back.
///
/// What a program needs that is started often: no execve(2), no relocation, and every page that nobody writes to is
/// shared with this process. The copy has no signal blocked and a session of its own, and may be inspected by its user
/// as a freshly executed program may.
pub fn fork_into(
    fds: &[(BorrowedFd<'_>, RawFd)],
    body: fn(&[String]) -> i32,
    arguments: &[String],
) -> Result<Child> {
    match crate::clone::fork()? {
        Fork::Parent(child) => Ok(child),
        // Values of the frames below own descriptors that are closed here. They are neither used nor dropped: `body`
        // is a plain function and captures none, and this process ends without coming back to them.
        Fork::Child { .. } => {
            let status = match settle(fds) {
                Ok(()) => body(arguments),
                Err(error) => {
                    eprintln!("start {arguments:?}: {error}");
                    127
                }
            };
            crate::process::exit(status)
        }
    }
}

fn settle(fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<()> {
    rustix::process::setsid().map_err(Error::of("setsid", ""))?;
    crate::signals::unblock();
    arrange(fds)?;
    let numbers: Vec<RawFd> = fds.iter().map(|(_, number)| *number).collect();
    crate::fds::close_all_but(&numbers)?;
    crate::process::allow_inspection()
}
