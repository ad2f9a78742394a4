//! The supervisor's side of seccomp user notification (seccomp_unotify(2)).

use crate::{Error, Result};
use nix::libc;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// A system call that a thread waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// The kernel counts them up by one for each of a filter.
    pub id: u64,
    /// The thread, as the caller's PID namespace numbers it; 0 when it cannot.
    pub thread: u32,
    pub number: i32,
    pub architecture: u32,
    pub arguments: [u64; 6],
}

/// What the thread gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The call returns this.
    Value(i64),
    /// The call fails.
    Error(Errno),
    /// The kernel carries the call out, reading its arguments and the descriptor table anew.
    Continue,
}

/// Whether the kernel's structures are those that this file knows (`SECCOMP_GET_NOTIF_SIZES`, Linux 5.0).
pub fn is_known() -> bool {
    let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    // SAFETY: writes the structure, which outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes) };
    result == 0
        && usize::from(sizes.seccomp_notif) == size_of::<libc::seccomp_notif>()
        && usize::from(sizes.seccomp_notif_resp) == size_of::<libc::seccomp_notif_resp>()
        && usize::from(sizes.seccomp_data) == size_of::<libc::seccomp_data>()
}

/// Whether descriptors can be installed over others (`SECCOMP_IOCTL_NOTIF_ADDFD`, Linux 5.9): found by trying it for a
/// call that nobody waits in.
pub fn can_install(listener: impl AsFd) -> bool {
    let nobody = libc::seccomp_notif_addfd {
        id: 0,
        flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
        srcfd: listener.as_fd().as_raw_fd() as u32,
        newfd: 0,
        newfd_flags: 0,
    };
    ioctl(listener.as_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const nobody) == Err(Errno::NOENT)
}

/// The next call that nobody has taken, which must be there: poll(2) says so. None when its thread was killed, or
/// interrupted, before it could be taken.
pub fn receive(listener: impl AsFd) -> Result<Option<Notification>> {
    // SAFETY: plain old data, which the kernel wants to be zero.
    let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    match ioctl(listener.as_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) {
        Ok(()) => Ok(Some(Notification {
            id: raw.id,
            thread: raw.pid,
            number: raw.data.nr,
            architecture: raw.data.arch,
            arguments: raw.data.args,
        })),
        Err(Errno::NOENT | Errno::INTR | Errno::AGAIN) => Ok(None),
        Err(errno) => Err(Error::of("ioctl", "SECCOMP_IOCTL_NOTIF_RECV")(errno)),
    }
}

/// Whether the thread still waits in the call. What was read about it before (its memory, its descriptors) was its own
/// then, and not that of another that has the number now.
pub fn is_waiting(listener: impl AsFd, id: u64) -> bool {
    ioctl(listener.as_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id).is_ok()
}

/// Installs a copy of `fd` as descriptor `number` of the waiting thread, in place of what is there. ENOENT when it no
/// longer waits.
pub fn install(listener: impl AsFd, id: u64, fd: impl AsFd, number: RawFd, cloexec: bool) -> Result<()> {
    let request = libc::seccomp_notif_addfd {
        id,
        flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
        srcfd: fd.as_fd().as_raw_fd() as u32,
        newfd: number as u32,
        newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
    };
    ioctl(listener.as_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request)
        .map_err(Error::of("ioctl", format!("SECCOMP_IOCTL_NOTIF_ADDFD, {number}")))
}

/// Lets the thread go on. ENOENT when it no longer waits.
pub fn answer(listener: impl AsFd, id: u64, answer: Answer) -> Result<()> {
    let (val, error, flags) = match answer {
        Answer::Value(value) => (value, 0, 0),
        Answer::Error(errno) => (0, -errno.raw_os_error(), 0),
        Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
    };
    let mut response = libc::seccomp_notif_resp { id, val, error, flags };
    ioctl(listener.as_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response)
        .map_err(Error::of("ioctl", format!("SECCOMP_IOCTL_NOTIF_SEND, {answer:?}")))
}

fn ioctl<T>(listener: BorrowedFd<'_>, request: libc::Ioctl, argument: *const T) -> Result<(), Errno> {
    // SAFETY: each caller passes a structure of the request's own type, which outlives the call; those that the kernel
    // writes to come from `&raw mut`.
    match unsafe { libc::ioctl(listener.as_raw_fd(), request, argument) } {
        result if result >= 0 => Ok(()),
        _ => {
            let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            Err(Errno::from_raw_os_error(code))
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_has_the_structures_of_this_file() {
        assert!(super::is_known());
    }
}
