//! Processes by descriptor: no confusion with a later process of the same number (pidfd_open(2)).

use crate::{Error, Result};
use model::ProcessRef;
use nix::libc;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, WaitId, WaitIdOptions},
};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal { number: i32, core_dumped: bool },
}

impl Exit {
    /// The shell's convention, which Docker follows: 128 plus the signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal { number, .. } => 128 + number,
        }
    }
}

/// Opens the process that `process` means, or ESRCH when its PID belongs to another by now.
pub fn open(process: ProcessRef) -> Result<OwnedFd> {
    let describe = || format!("{process:?}");
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH);
    let fd = pid
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
        .map_err(Error::of("pidfd_open", describe()))?;
    // Compared only after opening: from here on the number cannot be reused unnoticed.
    if crate::process::is_alive(process) {
        Ok(fd)
    } else {
        Err(Error::of("pidfd_open", describe())(Errno::SRCH))
    }
}

/// Sends a signal by number, real-time ones included; 0 only checks (pidfd_send_signal(2)).
pub fn signal(pidfd: impl AsFd, number: i32) -> Result<()> {
    let (fd, null) = (pidfd.as_fd().as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: a null siginfo asks for the one kill(2) would send.
    if unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, null, 0) } < 0 {
        return Err(Error::last("pidfd_send_signal", format!("signal {number}")));
    }
    Ok(())
}

/// Reaps a child and tells how it ended; `None` while it runs. ECHILD when it is not (or no longer) our child.
pub fn try_wait(pidfd: impl AsFd) -> Result<Option<Exit>> {
    wait_with(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
}

/// Waits for a child to end, reaps it and tells how it ended.
pub fn wait(pidfd: impl AsFd) -> Result<Exit> {
    wait_with(pidfd, WaitIdOptions::EXITED)?.ok_or(Errno::CHILD).map_err(Error::of("waitid", "P_PIDFD"))
}

fn wait_with(pidfd: impl AsFd, options: WaitIdOptions) -> Result<Option<Exit>> {
    let status = loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Err(Errno::INTR) => continue,
            other => break other.map_err(Error::of("waitid", "P_PIDFD"))?,
        }
    };
    Ok(status.and_then(|status| {
        let signal = |number| Exit::Signal { number, core_dumped: status.dumped() };
        status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(signal))
    }))
}

/// Waits until the process, a child or not, has ended. False when the time ran out first.
pub fn poll_exit(pidfd: impl AsFd, timeout: Option<std::time::Duration>) -> Result<bool> {
    let deadline = timeout.map(|t| std::time::Instant::now() + t);
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(std::time::Instant::now()));
        let left =
            left.map(|d| Timespec { tv_sec: d.as_secs() as i64, tv_nsec: i64::from(d.subsec_nanos()) });
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, left.as_ref()) {
            Err(Errno::INTR) => continue,
            other => return other.map(|ready| ready > 0).map_err(Error::of("poll", "pidfd")),
        }
    }
}

/// Duplicates descriptor `number` of the process into the caller (pidfd_getfd(2), Linux 5.6). Needs the right to
/// ptrace it.
pub fn take_fd(pidfd: impl AsFd, number: RawFd) -> Result<OwnedFd> {
    // SAFETY: passes three integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_fd().as_raw_fd(), number, 0) };
    if fd < 0 {
        return Err(Error::last("pidfd_getfd", format!("{number}")));
    }
    // SAFETY: a new descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_number_is_another_process() {
        let own = crate::process::reference(rustix::process::getpid()).unwrap();
        assert!(open(own).is_ok());
        let error = open(ProcessRef { start_time: own.start_time + 1, ..own }).unwrap_err();
        assert_eq!(error.errno, Errno::SRCH);
    }

    #[test]
    fn codes_follow_the_shell() {
        assert_eq!(Exit::Code(3).code(), 3);
        assert_eq!(Exit::Signal { number: 9, core_dumped: false }.code(), 137);
    }
}
