//! What the holder keeps for this shim, so that another can take its place.

use model::RunLayout;
use shim_proto::{Connection, FromHolder, OrphanExit, ProtoError, ToHolder};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How soon a holder that went away is looked for, at first and at last.
const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(10);

/// The connection on which this shim's descriptors were last given to the holder. Its end means that the holder was
/// killed, and that a new one has to be given them.
#[derive(Debug, Default)]
pub(super) struct Watch {
    connection: Option<Connection>,
    pause: Duration,
    retry_at: Option<Instant>,
}

impl Watch {
    /// To be polled for its end.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Keep descriptors under `key`.
    pub(super) fn keep(
        &mut self,
        run: &RunLayout,
        key: &str,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ProtoError> {
        let mut connection = connect(run)?;
        match connection.ask_holder(&ToHolder::Keep { key: key.to_owned() }, fds)? {
            (FromHolder::Done, _) => {}
            (other, _) => return Err(other.unexpected("Done")),
        }
        *self = Self { connection: Some(connection), pause: SOON, retry_at: None };
        Ok(())
    }

    /// The holder closed the connection.
    pub(super) fn ended(&mut self) {
        self.connection = None;
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LATE);
    }

    /// Nothing is kept any more.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_due(&self) -> bool {
        self.retry_at.is_some_and(|at| at <= Instant::now())
    }
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
