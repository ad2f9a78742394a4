//! A container's init, or an exec process.

use super::streams::Streams;
use model::{ProcessRef, Timestamp};
use shim_proto::Target;
use std::os::fd::OwnedFd;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) target: Target,
    pub(super) process: ProcessRef,
    pub(super) pidfd: OwnedFd,
    /// Not our child: taken over from a shim that died, so the holder reaps it.
    pub(super) adopted: bool,
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

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.streams.deadline()
    }
}
