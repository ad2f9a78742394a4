//! How a process ended, from its pidfd, for those who are not its parent (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`,
//! Linux 6.15, `<linux/pidfd.h>`).

use crate::{Error, Result, pidfd::Exit};
use nix::libc;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// `struct pidfd_info`, its first published version.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: u32 = 3 << 30 | (size_of::<Info>() as u32) << 16 | 0xFF << 8 | 11;

/// The end of a process that has been reaped, by anyone; none while it has not been. The pidfd must have been opened
/// before. ENOTTY or EINVAL on kernels without it.
pub fn exit(pidfd: impl AsFd) -> Result<Option<Exit>> {
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: the request number states the size of `info`, which is plain old data and outlives the call.
    if unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO as _, &raw mut info) } < 0 {
        let error = Error::last("ioctl", "PIDFD_GET_INFO");
        // Reaped before the pidfd kept the exit, or alive without the information asked for.
        return if error.errno == Errno::SRCH { Ok(None) } else { Err(error) };
    }
    if info.mask & EXIT == 0 {
        return Ok(None);
    }
    let status = info.exit_code;
    Ok(Some(if libc::WIFSIGNALED(status) {
        Exit::Signal { number: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_reaped_process_is_told_where_the_kernel_can() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        child.wait().unwrap();
        match exit(&pidfd) {
            Ok(told) => assert_eq!(told, Some(Exit::Code(7))),
            Err(e) => assert!(matches!(e.errno, Errno::NOTTY | Errno::INVAL), "Linux before 6.15: {e}"),
        }
    }
}
