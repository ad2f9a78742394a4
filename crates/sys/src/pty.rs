//! Pseudo-terminals (pty(7)).

use crate::{Error, Result};
use rustix::{
    fs::{Mode, OFlags},
    pty::OpenptFlags,
    termios::Winsize,
};
use std::os::fd::{AsFd, OwnedFd};

/// Both ends of a new pseudo-terminal.
#[derive(Debug)]
pub struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a pair from the devpts instance mounted at `pts`, a directory descriptor. The slave is opened through its
/// master (TIOCGPTPEER, Linux 4.13), never by a path below the container's root.
pub fn open(pts: impl AsFd) -> Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master =
        rustix::fs::openat(pts, "ptmx", flags, Mode::empty()).map_err(Error::of("openat", "ptmx"))?;
    from_master(master)
}

/// Opens a pair from the caller's own `/dev/ptmx`.
pub fn open_own() -> Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master =
        rustix::fs::open("/dev/ptmx", flags, Mode::empty()).map_err(Error::of("open", "/dev/ptmx"))?;
    from_master(master)
}

fn from_master(master: OwnedFd) -> Result<Pty> {
    rustix::pty::unlockpt(&master).map_err(Error::of("ioctl", "TIOCSPTLCK"))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(Error::of("ioctl", "TIOCGPTPEER"))?;
    Ok(Pty { master, slave })
}

/// Sets the size of a terminal; its foreground process group gets SIGWINCH.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).map_err(Error::of("ioctl", "TIOCSWINSZ"))
}

/// Makes the terminal the controlling one of the calling session leader.
pub fn make_controlling(terminal: impl AsFd) -> Result<()> {
    rustix::process::ioctl_tiocsctty(terminal).map_err(Error::of("ioctl", "TIOCSCTTY"))
}
