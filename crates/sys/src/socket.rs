//! What is queued on a connected socket, and whose socket it is.

use crate::{Error, Result};
use nix::libc;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `<linux/sockios.h>`
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// How much of what was written to a stream socket of the unix domain its peer has not read yet: zero when it has read
/// everything (SIOCOUTQ, `unix_outq_len` in net/unix/af_unix.c; the number counts the kernel's buffers, not bytes).
pub fn unread_by_peer(socket: impl AsFd) -> Result<usize> {
    let mut queued: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which has TIOCOUTQ's number, writes one int that outlives the call (unix(7)).
    if unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) } < 0 {
        return Err(Error::last("ioctl", "SIOCOUTQ"));
    }
    Ok(usize::try_from(queued).unwrap_or(0))
}

/// The network namespace that a socket belongs to (SIOCGSKNS, Linux 4.10). EPERM when the caller has no CAP_NET_ADMIN
/// over it.
pub fn namespace_of(socket: impl AsFd) -> Result<OwnedFd> {
    // SAFETY: the request has no argument.
    let fd = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS) };
    if fd < 0 {
        return Err(Error::last("ioctl", "SIOCGSKNS"));
    }
    // SAFETY: a new descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    #[test]
    fn zero_once_the_peer_has_read() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(unread_by_peer(&ours).unwrap(), 0);
        ours.write_all(b"hello").unwrap();
        assert!(unread_by_peer(&ours).unwrap() > 0);
        theirs.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(unread_by_peer(&ours).unwrap(), 0);
    }
}
