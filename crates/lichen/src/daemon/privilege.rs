//! CAP_NET_BIND_SERVICE (capabilities(7)), which an administrator may have given to this program's file:
//! `sudo setcap cap_net_bind_service=ep $(which lichen)`.
//!
//! It counts in the host's user namespace, so it is of use to the launcher alone, and to that for no longer than one
//! bind(2) takes. Nothing else here ever has it: not the client, which runs other people's programs, nor what the launcher
//! starts, since execve(2) takes it away.
//!
//! A process of a file with capabilities cannot be inspected by its user (prctl(2), PR_SET_DUMPABLE), who could otherwise
//! take them over with a debugger; that stays so.

use super::error::Result;
use sys::caps::{self, Mask};

/// Bit 10 (include/uapi/linux/capability.h).
const NET_BIND_SERVICE: Mask = 1 << 10;

/// The capability, out of effect.
#[derive(Debug)]
pub(super) struct Privilege {
    permitted: bool,
}

impl Privilege {
    /// Takes it out of effect. Root of a user namespace keeps what it has: there it is worth nothing on the host.
    pub(super) fn set_aside() -> Result<Self> {
        if rustix::process::geteuid().is_root() {
            return Ok(Self { permitted: false });
        }
        let mut sets = caps::get()?;
        let permitted = sets.permitted & NET_BIND_SERVICE != 0;
        if sets.effective & NET_BIND_SERVICE != 0 {
            sets.effective &= !NET_BIND_SERVICE;
            caps::set(sets)?;
        }
        Ok(Self { permitted })
    }

    /// Does `work` with the capability in effect, if there is one.
    pub(super) fn with<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        if !self.permitted {
            return Ok(work());
        }
        let mut sets = caps::get()?;
        sets.effective |= NET_BIND_SERVICE;
        caps::set(sets)?;
        let outcome = work();
        sets.effective &= !NET_BIND_SERVICE;
        caps::set(sets)?;
        Ok(outcome)
    }
}

/// For processes that have no use for it.
pub(crate) fn give_up() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut sets = caps::get()?;
    if sets.permitted & NET_BIND_SERVICE == 0 {
        return Ok(());
    }
    sets.permitted &= !NET_BIND_SERVICE;
    sets.effective &= !NET_BIND_SERVICE;
    Ok(caps::set(sets)?)
}
