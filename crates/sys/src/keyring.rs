//! Session keyrings (keyrings(7)).

use crate::{Error, Result};
use nix::libc;
use std::ffi::CString;

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Gives the calling process a new session keyring, so that it does not share its creator's keys
/// (CVE-2014-0206's lesson: session keys are not namespaced). The name is for people; each call makes a new ring.
///
/// ENOSYS (no key support) and EPERM under a seccomp filter mean that there is no keyring to share either; callers may
/// go on.
pub fn new_session(name: &str) -> Result<()> {
    let c_name = CString::new(name).map_err(|_| Error::of("keyctl", name)(rustix::io::Errno::INVAL))?;
    // SAFETY: the operation reads one NUL-terminated string that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, c_name.as_ptr()) };
    if result < 0 {
        Err(Error::last("keyctl", format!("KEYCTL_JOIN_SESSION_KEYRING, {name}")))
    } else {
        Ok(())
    }
}
