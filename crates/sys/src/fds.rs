//! Descriptor tables, and descriptors sent over sockets.

use crate::{Error, Result};
use nix::libc;
use rustix::{
    fs::{Mode, OFlags},
    io::{Errno, FdFlags},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags,
    },
};
use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// Marks every descriptor from `first` on close-on-exec (close_range(2) with `CLOSE_RANGE_CLOEXEC`, Linux 5.11; before
/// that by reading /proc/self/fd).
pub fn cloexec_from(first: u32) -> Result<()> {
    // SAFETY: sets a flag on descriptors and closes none, so no owner of one is affected.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return Ok(());
    }
    let error = Error::last("close_range", format!("{first}.."));
    if matches!(error.errno, Errno::NOSYS | Errno::INVAL) { cloexec_one_by_one(first) } else { Err(error) }
}

fn cloexec_one_by_one(first: u32) -> Result<()> {
    let path = "/proc/self/fd";
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::of("open", path))?;
    for entry in rustix::fs::Dir::new(directory).map_err(Error::of("fdopendir", path))? {
        let entry = entry.map_err(Error::of("getdents64", path))?;
        let Some(fd) = entry.file_name().to_str().ok().and_then(|n| n.parse::<u32>().ok()) else { continue };
        if fd >= first {
            set_cloexec_raw(fd as RawFd)?;
        }
    }
    Ok(())
}

fn set_cloexec_raw(fd: RawFd) -> Result<()> {
    // SAFETY: the number was just listed as open in a single pass; the flag of a descriptor is all that changes, and
    // the borrow ends with the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    match rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC) {
        Err(Errno::BADF) | Ok(()) => Ok(()),
        Err(errno) => Err(Error::of("fcntl", format!("{fd}, F_SETFD"))(errno)),
    }
}

/// Closes every descriptor from 3 on except those in `keep` (close_range(2), Linux 5.9; before that one by one).
///
/// For a forked child only, in which no value that owns one of them is used or dropped any more.
pub(crate) fn close_all_but(keep: &[RawFd]) -> Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut from = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > from {
            close_range(from, if fd == u32::MAX { fd } else { fd - 1 })?;
        }
        from = fd.saturating_add(1);
    }
    Ok(())
}

fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: whoever owns these is not used any more, as the caller promises.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return Ok(());
    }
    let error = Error::last("close_range", format!("{first}, {last}"));
    if error.errno != Errno::NOSYS {
        return Err(error);
    }
    let open: Vec<u32> = std::fs::read_dir("/proc/self/fd")
        .map_err(|e| Error::of("opendir", "/proc/self/fd")(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| (first..=last).contains(fd)) {
        // SAFETY: as above. The descriptor of the listing itself is closed already; EBADF means just that.
        unsafe { libc::close(fd as RawFd) };
    }
    Ok(())
}

/// Clears close-on-exec of the inherited descriptors `3 .. 3 + count`; fails with EBADF when one is not open.
pub fn keep_over_exec(count: u32) -> Result<()> {
    for fd in 3..3 + count as RawFd {
        // SAFETY: fcntl on a number that may not be open is sound: the kernel answers EBADF.
        let result = unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
        if result < 0 {
            return Err(Error::last("fcntl", format!("{fd}, F_SETFD")));
        }
    }
    Ok(())
}

/// Takes ownership of an inherited descriptor (from an argument such as `--fd=3`, or socket activation).
///
/// Fails with EBADF when it is not open. The caller says, by calling this, that nothing else owns the number; calling
/// it twice for one number is a bug that ends in a double close, as with any use of numbers.
pub fn take_inherited(fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: fcntl on a number that may not be open is sound: the kernel answers EBADF.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(Error::last("fcntl", format!("{fd}, F_SETFD")));
    }
    // SAFETY: it is open (just checked), and inherited: no value of this program was made for it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes `fds` the descriptors 0, 1 and 2, without close-on-exec.
///
/// The sources may be 0, 1 or 2 themselves in any order: each is first duplicated above them.
pub fn become_stdio(fds: [BorrowedFd<'_>; 3]) -> Result<()> {
    let high = |fd: BorrowedFd<'_>| {
        rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(Error::of("fcntl", "F_DUPFD_CLOEXEC"))
    };
    let [stdin, stdout, stderr] = [high(fds[0])?, high(fds[1])?, high(fds[2])?];
    rustix::stdio::dup2_stdin(&stdin).map_err(Error::of("dup2", "0"))?;
    rustix::stdio::dup2_stdout(&stdout).map_err(Error::of("dup2", "1"))?;
    rustix::stdio::dup2_stderr(&stderr).map_err(Error::of("dup2", "2"))
}

/// Most descriptors that one message carries.
pub const MAX_FDS: usize = 16;

/// Sends `bytes` with `fds` attached to the first of them (unix(7), `SCM_RIGHTS`). Returns how many bytes were sent.
pub fn send_with_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Error::of("sendmsg", format!("{} descriptors", fds.len()))(Errno::TOOBIG));
    }
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => continue,
            other => return other.map_err(Error::of("sendmsg", format!("{} descriptors", fds.len()))),
        }
    }
}

/// Receives into `buffer`; the descriptors that came along are close-on-exec. Zero bytes mean end of file.
pub fn recv_with_fds(socket: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let slices = &mut [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(&socket, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => continue,
            other => break other.map_err(Error::of("recvmsg", ""))?,
        }
    };
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok((received.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::os::fd::AsRawFd;

    #[test]
    fn descriptors_are_closed_on_exec_with_and_without_close_range() {
        for old_kernel in [false, true] {
            testing::single_threaded(|| {
                if old_kernel {
                    testing::without_syscall(libc::SYS_close_range);
                }
                let open = || std::fs::File::open("/dev/null").unwrap();
                let (low, high) = (open(), open());
                for file in [&low, &high] {
                    rustix::io::fcntl_setfd(file, FdFlags::empty()).unwrap();
                }
                cloexec_from(high.as_raw_fd() as u32).unwrap();
                assert_eq!(rustix::io::fcntl_getfd(&low).unwrap(), FdFlags::empty());
                assert_eq!(rustix::io::fcntl_getfd(&high).unwrap(), FdFlags::CLOEXEC);
            });
        }
    }

    #[test]
    fn all_but_some_descriptors_are_closed_with_and_without_close_range() {
        for old_kernel in [false, true] {
            testing::single_threaded(|| {
                if old_kernel {
                    testing::without_syscall(libc::SYS_close_range);
                }
                let open = || std::fs::File::open("/dev/null").unwrap();
                let files = std::mem::ManuallyDrop::new([open(), open(), open(), open()]);
                let keep = [files[2].as_raw_fd(), files[0].as_raw_fd()];
                close_all_but(&keep).unwrap();
                let is_open = files.each_ref().map(|file| rustix::io::fcntl_getfd(file).is_ok());
                assert_eq!(is_open, [true, false, true, false]);
            });
        }
    }

    #[test]
    fn descriptors_travel_with_the_bytes_they_came_with() {
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(send_with_fds(&a, b"x", &[file.as_fd()]).unwrap(), 1);
        let (length, fds) = recv_with_fds(&b, &mut [0u8; 8]).unwrap();
        assert_eq!((length, fds.len()), (1, 1));
        assert_eq!(rustix::io::fcntl_getfd(&fds[0]).unwrap(), FdFlags::CLOEXEC);
        drop(a);
        assert_eq!(recv_with_fds(&b, &mut [0u8; 8]).unwrap().0, 0);
    }

    #[test]
    fn streams_may_trade_places() {
        testing::single_threaded(|| {
            let inode = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).unwrap().st_ino;
            let pipe = || rustix::pipe::pipe().unwrap();
            let ((a, _a), (b, _b), (c, _c)) = (pipe(), pipe(), pipe());
            become_stdio([a.as_fd(), b.as_fd(), c.as_fd()]).unwrap();
            use rustix::stdio::{stderr, stdin, stdout};
            become_stdio([stderr(), stdin(), stdout()]).unwrap();
            let found = [stdin(), stdout(), stderr()].map(inode);
            assert_eq!(found, [&c, &a, &b].map(|fd| inode(fd.as_fd())));
        });
    }
}
