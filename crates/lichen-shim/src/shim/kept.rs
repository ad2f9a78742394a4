//! What the holder keeps for this shim, so that another can take its place.

use model::RunLayout;
use shim_proto::{Connection, FromHolder, OrphanExit, ProtoError, ToHolder};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Keep descriptors under `key`.
pub(super) fn keep(run: &RunLayout, key: &str, fds: &[BorrowedFd<'_>]) -> Result<(), ProtoError> {
    done(run, &ToHolder::Keep { key: key.to_owned() }, fds)
}

/// Have them closed.
pub(super) fn drop_kept(run: &RunLayout, key: &str) -> Result<(), ProtoError> {
    done(run, &ToHolder::Drop { key: key.to_owned() }, &[])
}

/// Copies of what is kept.
pub(super) fn take(run: &RunLayout, key: &str) -> Result<Vec<OwnedFd>, ProtoError> {
    match connect(run)?.ask_holder(&ToHolder::Take { key: key.to_owned() }, &[])? {
        (FromHolder::Taken, fds) => Ok(fds),
        (other, _) => Err(other.unexpected("Taken")),
    }
}

/// How a process ended that the holder reaped, if it did.
pub(super) fn exit_of(run: &RunLayout, pid: u32) -> Result<Option<OrphanExit>, ProtoError> {
    match connect(run)?.ask_holder(&ToHolder::Exits, &[])? {
        (FromHolder::Exits { exits }, _) => Ok(exits.into_iter().find(|e| e.pid == pid)),
        (other, _) => Err(other.unexpected("Exits")),
    }
}

/// The record of its end is no longer needed.
pub(super) fn forget_exit(run: &RunLayout, pid: u32) -> Result<(), ProtoError> {
    done(run, &ToHolder::ForgetExits { pids: vec![pid] }, &[])
}

fn done(run: &RunLayout, request: &ToHolder, fds: &[BorrowedFd<'_>]) -> Result<(), ProtoError> {
    match connect(run)?.ask_holder(request, fds)? {
        (FromHolder::Done, _) => Ok(()),
        (other, _) => Err(other.unexpected("Done")),
    }
}

fn connect(run: &RunLayout) -> Result<Connection, ProtoError> {
    Connection::connect(&run.holder_socket(), "holder")
}
