//! A container's init, or an exec process.

use super::streams::Streams;
use model::{ProcessRef, Timestamp};
use shim_proto::Target;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long the end of a process may stay unexplained.
const UNREAPED: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Process {
    pub(super) target: Target,
    pub(super) process: ProcessRef,
    pub(super) pidfd: OwnedFd,
    /// Not our child: taken over from a shim that died, so the holder reaps it.
    pub(super) adopted: bool,
    /// Since when an adopted process is known to have ended, and not known how.
    pub(super) unreaped_since: Option<Instant>,
    pub(super) streams: Streams,
    /// The exit code and when it was seen.
    pub(super) exit: Option<(i32, Timestamp)>,
    /// The end has been announced; kept while clients still read its output.
    pub(super) announced: bool,
}

impl Process {
    pub(super) fn is(&self, target: &Target) -> bool {
        self.target == *target
    }

    pub(super) fn is_running(&self) -> bool {
        self.exit.is_none()
    }

    pub(super) fn ended(&mut self, code: i32) {
        if self.exit.is_none() {
            self.exit = Some((code, Timestamp::now()));
            self.streams.process_ended();
        }
    }

    /// Ended, output read, not yet told.
    pub(super) fn is_to_be_announced(&self) -> bool {
        self.exit.is_some() && !self.announced && self.streams.is_complete()
    }

    /// Nobody reaps it, or the kernel does not tell.
    pub(super) fn is_overdue(&self) -> bool {
        self.is_running() && self.unreaped_since.is_some_and(|since| since + UNREAPED <= Instant::now())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let unreaped = self.unreaped_since.filter(|_| self.is_running()).map(|since| since + UNREAPED);
        self.streams.deadline().into_iter().chain(unreaped).min()
    }
}
