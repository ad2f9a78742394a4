//! What the holder keeps for this shim, so that another can take its place.

use model::RunLayout;
use shim_proto::{Connection, FromHolder, OrphanExit, ProtoError, Received, ToHolder};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How soon a holder that went away is looked for, at first and at last.
const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(10);

/// The connection to the holder. Its end means that the holder was killed, and that a new one has to be given what this
/// shim wants kept.
#[derive(Debug)]
pub(super) struct Watch {
    connection: Option<Connection>,
    /// Requests sent and not answered yet.
    open: u32,
    /// Whether there is anything to keep.
    keeping: bool,
    pause: Duration,
    retry_at: Option<Instant>,
}

impl Watch {
    pub(super) fn new(holder: UnixStream) -> Self {
        let connection = Some(Connection::new(holder, "holder"));
        Self { connection, open: 0, keeping: false, pause: SOON, retry_at: None }
    }

    /// To be polled for answers, and for its end.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Asks the holder to keep descriptors under `key`; [`Watch::confirm`] tells whether it does.
    pub(super) fn keep(
        &mut self,
        run: &RunLayout,
        key: &str,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ProtoError> {
        self.keeping = true;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(run)?,
        };
        connection.send(0, &ToHolder::Keep { key: key.to_owned() }, fds)?;
        *self = Self {
            connection: Some(connection),
            open: self.open + 1,
            keeping: true,
            pause: SOON,
            retry_at: None,
        };
        Ok(())
    }

    /// Waits until the holder has done what was asked of it.
    pub(super) fn confirm(&mut self) -> Result<(), ProtoError> {
        while self.open > 0 {
            self.answer()?;
        }
        Ok(())
    }

    /// The socket is readable: an answer, or the end.
    pub(super) fn ready(&mut self) {
        let end = match self.open {
            0 => true,
            _ => self.answer().inspect_err(|e| eprintln!("lichen-shim: the holder: {e}")).is_err(),
        };
        if end {
            self.ended();
        }
    }

    fn answer(&mut self) -> Result<(), ProtoError> {
        let closed = ProtoError::Closed { peer: "holder", expected: "Done" };
        let Some(connection) = &mut self.connection else { return Err(closed) };
        match connection.receive::<FromHolder>()? {
            Some(Received { msg: FromHolder::Done, .. }) => {
                self.open -= 1;
                Ok(())
            }
            Some(other) => Err(other.msg.unexpected("Done")),
            None => Err(closed),
        }
    }

    /// There is no holder now; another is looked for if there is anything to keep.
    pub(super) fn ended(&mut self) {
        self.connection = None;
        self.open = 0;
        if self.keeping {
            self.retry_at = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LATE);
        }
    }

    /// What is kept under `key` is no longer needed.
    pub(super) fn forget(&mut self, key: &str) -> Result<(), ProtoError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        self.open += 1;
        connection.send(0, &ToHolder::Drop { key: key.to_owned() }, &[])
    }

    /// Nothing is to be kept any more. A holder that is gone keeps nothing as it is.
    pub(super) fn stop(&mut self, key: &str) -> Result<(), ProtoError> {
        (self.keeping, self.retry_at) = (false, None);
        self.forget(key)
    }

    pub(super) fn is_due(&self) -> bool {
        self.retry_at.is_some_and(|at| at <= Instant::now())
    }
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
