//! Becoming root of the holder's namespaces.

use crate::{Error, HolderState, Result};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::io::Errno;
use std::fs;
use std::os::fd::AsFd;
use sys::namespaces::{Kind, Set};

/// Join the user and mount namespaces of the holder; the network namespace stays the caller's. For a single-threaded
/// process that executes a program next. The current directory becomes `/`.
pub fn enter(holder: &HolderState) -> Result<()> {
    let join = |source| Error::Join { process: holder.process, source };
    let pidfd = sys::pidfd::open(holder.process).map_err(join)?;
    enter_of(&pidfd).map_err(join)?;
    become_root()
}

/// The same with a pidfd of any process in there, without becoming root.
pub(crate) fn enter_of(pidfd: impl AsFd) -> Result<(), sys::Error> {
    sys::namespaces::join_process(pidfd, Set::of(&[Kind::User, Kind::Mount]))
}

/// Take UID and GID 0 of the user namespace, and no supplementary groups where that is allowed.
pub(crate) fn become_root() -> Result<()> {
    let failed = |call: &'static str| {
        move |e: nix::Error| Error::System(sys::Error::of(call, "0")(Errno::from_raw_os_error(e as i32)))
    };
    setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).map_err(failed("setresgid"))?;
    // "deny" is what a single mapped ID costs; dropping groups is impossible there (user_namespaces(7)).
    let denied = fs::read_to_string("/proc/self/setgroups").is_ok_and(|t| t.trim() == "deny");
    if !denied {
        setgroups(&[]).map_err(failed("setgroups"))?;
    }
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).map_err(failed("setresuid"))
}
