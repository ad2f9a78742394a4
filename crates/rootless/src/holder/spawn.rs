//! Starting `lichen-shim` as a child of the holder.

use model::ProcessRef;
use shim_proto::{Failure, FailureClass};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::clone::Fork;

/// What to start.
pub(super) struct Program<'a> {
    pub(super) program: BorrowedFd<'a>,
    pub(super) args: &'a [String],
    pub(super) env: &'a [String],
    /// Descriptors with the numbers that the child sees them under.
    pub(super) fds: Vec<(BorrowedFd<'a>, i32)>,
}

/// The highest number a child's descriptor may have.
const HIGHEST: i32 = 63;

/// Fork and execute. A child that cannot execute says so in the holder's log and exits 127.
pub(super) fn spawn(program: &Program<'_>) -> Result<ProcessRef, Failure> {
    check(program)?;
    let argv = strings(std::iter::once("lichen-shim").chain(program.args.iter().map(String::as_str)))?;
    let envp = strings(program.env.iter().map(String::as_str))?;
    let failed = |e: sys::Error| Failure::new(FailureClass::Other, "start a shim", e);
    match sys::clone::fork().map_err(failed)? {
        Fork::Parent(child) => sys::process::reference(child.pid).map_err(failed),
        Fork::Child { .. } => {
            let error = exec(program, &argv, &envp);
            eprintln!("lichen-shim: cannot start {:?}: {error}", program.args);
            sys::process::exit(127)
        }
    }
}

fn check(program: &Program<'_>) -> Result<(), Failure> {
    let numbers: Vec<i32> = program.fds.iter().map(|(_, n)| *n).collect();
    let distinct = numbers.iter().enumerate().all(|(i, n)| !numbers[..i].contains(n));
    if distinct && numbers.iter().all(|n| (3..=HIGHEST).contains(n)) {
        return Ok(());
    }
    let message = format!("descriptor numbers {numbers:?}: expected distinct ones between 3 and {HIGHEST}");
    Err(Failure::new(FailureClass::InvalidParameter, "start a shim", message))
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<CString>, Failure> {
    let nul = |e| Failure::new(FailureClass::InvalidParameter, "start a shim", e);
    texts.map(CString::new).collect::<Result<_, _>>().map_err(nul)
}

fn exec(program: &Program<'_>, argv: &[CString], envp: &[CString]) -> sys::Error {
    let prepare = || -> Result<OwnedFd, sys::Error> {
        // A session of its own: a signal to the holder's group reaches no shim.
        rustix::process::setsid().map_err(sys::Error::of("setsid", ""))?;
        sys::signals::reset();
        let copy = rustix::io::fcntl_dupfd_cloexec(program.program, HIGHEST + 1)
            .map_err(sys::Error::of("fcntl", "F_DUPFD_CLOEXEC"))?;
        sys::spawn::arrange(&program.fds)?;
        Ok(copy)
    };
    match prepare() {
        Ok(fd) => sys::process::exec_fd(fd.as_fd(), argv, envp),
        Err(error) => error,
    }
}
