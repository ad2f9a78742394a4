//! Installing a compiled seccomp filter (seccomp(2)).

use crate::{Error, Result};
use nix::libc;
use rustix::io::Errno;
use std::os::fd::{FromRawFd, OwnedFd};

/// Bytes of one BPF instruction (`struct sock_filter`).
pub const INSTRUCTION: usize = 8;

/// Installs `program`, compiled BPF in the machine's byte order, for the calling thread and all its children.
///
/// `flags` are `SECCOMP_FILTER_FLAG_*`; with `NEW_LISTENER` the returned descriptor receives the notifications. Needs
/// no_new_privs or CAP_SYS_ADMIN in the user namespace.
pub fn install(program: &[u8], flags: u64) -> Result<Option<OwnedFd>> {
    let describe =
        || format!("SECCOMP_SET_MODE_FILTER, {flags:#x}, {} instructions", program.len() / INSTRUCTION);
    if program.is_empty() || !program.len().is_multiple_of(INSTRUCTION) {
        return Err(Error::of("seccomp", describe())(Errno::INVAL));
    }
    let filter: Vec<libc::sock_filter> =
        program.as_chunks::<INSTRUCTION>().0.iter().map(instruction).collect();
    let Ok(len) = u16::try_from(filter.len()) else {
        return Err(Error::of("seccomp", describe())(Errno::TOOBIG));
    };
    let fprog = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `fprog` describes `filter`, which outlives the call; the kernel copies and verifies the program.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog) };
    match result {
        fd if fd > 0 && flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 => {
            // SAFETY: with NEW_LISTENER a positive result is a new descriptor that nobody else owns.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
        }
        0 => Ok(None),
        _ => Err(Error::last("seccomp", describe())),
    }
}

fn instruction(bytes: &[u8; INSTRUCTION]) -> libc::sock_filter {
    let [c0, c1, jt, jf, k0, k1, k2, k3] = *bytes;
    libc::sock_filter { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
}

/// Whether this kernel knows an action (`SECCOMP_GET_ACTION_AVAIL`).
pub fn knows_action(action: u32) -> bool {
    // SAFETY: reads one u32 that outlives the call.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}
