//! Tun and tap interfaces: IP packets, or Ethernet frames, as reads and writes.

use crate::{Error, Result};
use nix::libc;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};

/// Makes the tun interface `name` in the calling thread's network namespace; each read is one packet, each write too.
///
/// It goes when the descriptor is closed. The namespace is that of the thread that opens the device
/// (drivers/net/tun.c, `tun_chr_open`), and stays so.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN over the namespace, `EBUSY` when there is one of that name.
pub fn open(name: &str) -> Result<OwnedFd> {
    attach(name, libc::IFF_TUN)
}

/// As [`open`], a tap: each read and each write is one Ethernet frame.
pub fn open_tap(name: &str) -> Result<OwnedFd> {
    attach(name, libc::IFF_TAP)
}

fn attach(name: &str, kind: libc::c_int) -> Result<OwnedFd> {
    const DEVICE: &str = "/dev/net/tun";
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(Error::of("open", DEVICE))?;
    // SAFETY: ifreq is plain old data; all zeros is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = name.as_bytes();
    if bytes.len() >= request.ifr_name.len() {
        return Err(Error {
            call: "ioctl",
            args: format!("TUNSETIFF, {name}"),
            errno: rustix::io::Errno::INVAL,
        });
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (kind | libc::IFF_NO_PI | libc::IFF_TUN_EXCL) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes an ifreq that outlives the call (drivers/net/tun.c, `__tun_chr_ioctl`).
    if unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) } < 0 {
        return Err(Error::last("ioctl", format!("TUNSETIFF, {name}")));
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_tun_is_there_once_and_goes_with_its_descriptor() {
        testing::in_userns("tun::tests::a_tun_is_there_once_and_goes_with_its_descriptor", || {
            let there = || std::fs::read_to_string("/proc/self/net/dev").unwrap().contains("lichen0:");
            let tun = super::open("lichen0").unwrap();
            assert!(there());
            assert_eq!(super::open("lichen0").unwrap_err().errno, rustix::io::Errno::BUSY);
            drop(tun);
            assert!(!there());
            assert!(super::open("a-name-of-sixteen").is_err());
        });
    }
}
