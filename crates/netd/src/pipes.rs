//! A small pool of large pipes, lent to the flows that move much.
//!
//! Splicing through a pipe spares two copies, but a user's pipes beyond 64 MiB in all
//! (`/proc/sys/fs/pipe-user-pages-soft`, pipe(7)) shrink to two pages, and then splicing is slower than copying.

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};
use std::os::fd::{AsFd, OwnedFd};

/// How many are out at once: half of what a user may have, other programs needing some.
const COUNT: usize = 32;
const SIZE: usize = 1 << 20;

/// A pipe and how much is in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    filled: usize,
}

/// Pipes to lend.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    idle: Vec<Pipe>,
    lent: usize,
}

impl Pipes {
    /// A pipe, unless all are lent or the kernel grants none of full size.
    pub(crate) fn lend(&mut self) -> Option<Pipe> {
        if self.lent >= COUNT {
            return None;
        }
        let pipe = self.idle.pop().or_else(Pipe::new)?;
        self.lent += 1;
        Some(pipe)
    }

    /// Takes a pipe back; one that still holds data of a flow that broke off is closed.
    pub(crate) fn give_back(&mut self, pipe: Pipe) {
        self.lent -= 1;
        if pipe.filled == 0 {
            self.idle.push(pipe);
        }
    }
}

impl Pipe {
    fn new() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let size = fcntl_setpipe_size(&write, SIZE).ok()?;
        (size >= SIZE).then_some(Self { read, write, filled: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Moves what `source` has into the pipe; 0 is its end.
    pub(crate) fn fill(&mut self, source: impl AsFd) -> Result<usize, Errno> {
        // A full pipe and an empty socket both say EAGAIN: never ask when there may be no room.
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = splice(source, None, &self.write, None, SIZE, flags)?;
        self.filled += moved;
        Ok(moved)
    }

    /// Moves what the pipe holds to `sink`.
    pub(crate) fn drain(&mut self, sink: impl AsFd) -> Result<usize, Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = splice(&self.read, None, sink, None, self.filled, flags)?;
        self.filled -= moved;
        Ok(moved)
    }
}
