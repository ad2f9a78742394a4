//! Where a new process reads and writes.

use std::os::fd::BorrowedFd;

/// Standard input, output and error of a new process.
#[derive(Debug, Clone, Copy)]
pub enum Stdio<'a> {
    /// Three descriptors, duplicated to 0, 1 and 2.
    Fds { stdin: BorrowedFd<'a>, stdout: BorrowedFd<'a>, stderr: BorrowedFd<'a> },
    /// A pseudo-terminal from the container's own devpts instance; the master comes back in
    /// [`Created::console`](crate::Created) or [`Executing::console`](crate::Executing).
    Terminal { size: Option<WindowSize> },
}

/// Rows and columns of a terminal (TIOCSWINSZ).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}
