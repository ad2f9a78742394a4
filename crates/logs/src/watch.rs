//! Waiting for a log to grow, by inotify(7).

use crate::{Error, Result};
use rustix::fs::inotify;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Readable when the log may have grown or been rotated. Make it before the read that finds the log's end, or a change
/// between the two is missed.
///
/// A user has few inotify instances (`fs.inotify.max_user_instances`, 128 by default); when [`Watch::new`] fails, ask
/// the reader again after a pause instead.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    /// Watch the directory of the log at `path`, which sees writes and renames alike.
    pub fn new(path: &Path) -> Result<Self> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let watch = || {
            let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            let changes =
                inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVE;
            inotify::add_watch(&inotify, dir, changes | inotify::WatchFlags::ONLYDIR)?;
            io::Result::Ok(Self { inotify })
        };
        watch().map_err(Error::io("watch", path))
    }

    /// Take note of all changes so far; then read the log to its end before waiting again.
    pub fn drain(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
