//! Standard streams and the terminal of the new process.

use crate::{
    Failure, Stdio, WindowSize,
    report::{At, Message, Reporter, failed},
    root::Root,
};
use rustix::{
    fs::{FileType, OFlags, ResolveFlags, Uid},
    io::Errno,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// `<linux/magic.h>`
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Where the streams come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IoPlan<'a>(pub(crate) Stdio<'a>);

/// An open terminal: its slave's end.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) slave: OwnedFd,
}

impl IoPlan<'_> {
    /// Opens a terminal in the container's devpts and sends its master to the parent. None when none was asked for.
    pub(crate) fn open_terminal(
        &self,
        root: &Root,
        reporter: &Reporter,
    ) -> Result<Option<Terminal>, Failure> {
        let Stdio::Terminal { size } = self.0 else { return Ok(None) };
        let pty = open(root).at("open terminal in", "/dev/pts")?;
        if let Some(WindowSize { rows, columns }) = size {
            sys::pty::resize(&pty.master, rows, columns).map_err(failed("resize terminal"))?;
        }
        reporter.send_with(&Message::Console, &[&pty.master]).map_err(failed("send terminal"))?;
        Ok(Some(Terminal { slave: pty.slave }))
    }

    /// Makes the streams descriptors 0, 1 and 2, in a session of their own, usable by `uid`.
    pub(crate) fn connect(&self, terminal: Option<&Terminal>, uid: u32) -> Result<(), Failure> {
        let fds = match (self.0, terminal) {
            (Stdio::Fds { stdin, stdout, stderr }, _) => [stdin, stdout, stderr],
            (Stdio::Terminal { .. }, Some(terminal)) => [terminal.slave.as_fd(); 3],
            (Stdio::Terminal { .. }, None) => return Err(failed("connect terminal")("it was not opened")),
        };
        rustix::process::setsid().map_err(failed("setsid"))?;
        for fd in fds {
            give_to(fd, uid)?;
        }
        sys::fds::become_stdio(fds).map_err(failed("connect standard streams"))?;
        if terminal.is_some() {
            sys::pty::make_controlling(rustix::stdio::stdin()).map_err(failed("set controlling terminal"))?;
        }
        Ok(())
    }
}

/// The directory must be a devpts mount, reached without links: an image could otherwise offer a file of its own.
fn open(root: &Root) -> Result<sys::pty::Pty, String> {
    let text = |e: Errno| e.to_string();
    let pts = root
        .open(Path::new("/dev/pts"), OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS)
        .map_err(text)?;
    if rustix::fs::fstatfs(&pts).map_err(text)?.f_type as i64 != DEVPTS_SUPER_MAGIC {
        return Err("a terminal needs a devpts mount there".to_owned());
    }
    sys::pty::open(&pts).map_err(|e| e.to_string())
}

/// Programs reopen /dev/stdout, which takes more than an open descriptor: the pipe or terminal has to belong to the
/// user (runc, `fixStdioPermissions`). What is not ours to give (/dev/null, a file elsewhere) stays as it is.
fn give_to(fd: BorrowedFd<'_>, uid: u32) -> Result<(), Failure> {
    let stat = rustix::fs::fstat(fd).map_err(failed("fstat standard stream"))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let shared = kind == FileType::CharacterDevice && !rustix::termios::isatty(fd);
    if stat.st_uid == uid || shared || kind == FileType::RegularFile {
        return Ok(());
    }
    match rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None) {
        Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(errno) => Err(failed("chown standard stream")(errno)),
    }
}
