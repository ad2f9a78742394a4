//! Starting shims: forks of the holder that go on as something else.
//!
//! Nothing is executed: a copy of the holder has its code mapped and relocated, shares every page that neither of them
//! writes to, and is there in a fraction of the time.

use super::Shim;
use model::ProcessRef;
use shim_proto::{Failure, FailureClass};
use std::os::fd::{BorrowedFd, RawFd};

/// The highest number a child's descriptor may have.
const HIGHEST: RawFd = 62;

/// The number under which a shim has its connection to the holder.
const HOLDER: RawFd = HIGHEST + 1;

/// What to start.
pub(super) struct Start<'a> {
    pub(super) shim: Shim,
    pub(super) args: &'a [String],
    /// Descriptors with the numbers that the child sees them under.
    pub(super) fds: Vec<(BorrowedFd<'a>, RawFd)>,
    /// The child's end of a connection to the holder.
    pub(super) connection: BorrowedFd<'a>,
}

/// Fork. A child that cannot go on says so in the holder's log and exits 127.
pub(super) fn spawn(start: &Start<'_>) -> Result<ProcessRef, Failure> {
    check(&start.fds)?;
    let mut fds = start.fds.clone();
    fds.push((start.connection, HOLDER));
    let connection = ["--holder".to_owned(), HOLDER.to_string()];
    let args: Vec<String> = start.args.iter().cloned().chain(connection).collect();
    let failed = |e: sys::Error| Failure::new(FailureClass::Other, "start a shim", e);
    let child = sys::spawn::fork_into(&fds, start.shim, &args).map_err(failed)?;
    sys::process::reference(child.pid).map_err(failed)
}

fn check(fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<(), Failure> {
    let numbers: Vec<RawFd> = fds.iter().map(|(_, n)| *n).collect();
    let distinct = numbers.iter().enumerate().all(|(i, n)| !numbers[..i].contains(n));
    if distinct && numbers.iter().all(|n| (3..=HIGHEST).contains(n)) {
        return Ok(());
    }
    let message = format!("descriptor numbers {numbers:?}: expected distinct ones between 3 and {HIGHEST}");
    Err(Failure::new(FailureClass::InvalidParameter, "start a shim", message))
}
