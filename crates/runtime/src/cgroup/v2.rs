//! One cgroup v2 directory (Documentation/admin-guide/cgroup-v2.rst).

use super::{limits::Setting, stats, stats::Stats};
use crate::{Error, Result, Warning};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{AtFlags, Dir, Mode, OFlags},
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// An open cgroup directory.
#[derive(Debug)]
pub struct CgroupDir {
    path: PathBuf,
    fd: OwnedFd,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

impl CgroupDir {
    pub fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| failed(path, "open", e))?;
        Ok(Self { path: path.to_owned(), fd })
    }

    /// The directory `path`, made with those above it that are missing; controllers are handed down to it.
    fn open_or_make(path: &Path) -> Result<Self> {
        let (above, name) = match (Self::open(path), path.parent(), path.file_name()) {
            (Err(Error::Cgroup { source, .. }), Some(above), Some(name))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                (Self::open_or_make(above)?, name)
            }
            (opened, ..) => return opened,
        };
        above.enable_controllers()?;
        match rustix::fs::mkdirat(&above.fd, name, Mode::from_raw_mode(0o755)) {
            // Another container's start was quicker.
            Ok(()) | Err(Errno::EXIST) => Self::open(path),
            Err(errno) => Err(failed(path, "mkdir", errno)),
        }
    }

    /// Makes `parent/name`, and `parent` where it is missing; it stays, as it may be others' too. The controllers that
    /// `parent` may hand down are enabled for its children first.
    pub fn create(parent: &Path, name: &str) -> Result<Self> {
        let above = Self::open_or_make(parent)?;
        above.enable_controllers()?;
        let make = || rustix::fs::mkdirat(&above.fd, name, Mode::from_raw_mode(0o755));
        // One that is left over is made anew: on Linux 6.18 a group that was once killed (cgroup.kill) kills whatever is
        // cloned into it later (`CLONE_INTO_CGROUP`). Nor do its counters belong to the new container.
        let made = match make() {
            Err(Errno::EXIST) => match rustix::fs::unlinkat(&above.fd, name, AtFlags::REMOVEDIR) {
                Ok(()) => make(),
                Err(errno) => Err(errno),
            },
            other => other,
        };
        made.map_err(|errno| failed(&parent.join(name), "mkdir", errno))?;
        Self::open(&parent.join(name))
    }

    /// A controller that cannot be enabled (a process in `parent` itself, EBUSY; not delegated, EACCES) is left out;
    /// limits that need it are then discarded with a warning of their own.
    fn enable_controllers(&self) -> Result<()> {
        let (available, enabled) = (self.read("cgroup.controllers")?, self.read("cgroup.subtree_control")?);
        let enabled: Vec<&str> = enabled.split_whitespace().collect();
        for controller in available.split_whitespace().filter(|c| !enabled.contains(c)) {
            match self.write("cgroup.subtree_control", &format!("+{controller}")) {
                Ok(()) => {}
                Err(Error::Cgroup { source, .. }) if is_refusal(&source) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn apply(&self, settings: &[Setting]) -> Result<Vec<Warning>> {
        let mut discarded = Vec::new();
        for setting in settings {
            let written = match (self.write_existing(&setting.file, &setting.value)?, &setting.otherwise) {
                (false, Some((file, value))) => self.write_existing(file, value)?,
                (written, _) => written,
            };
            if !written {
                discarded.push(setting.discarded("the cgroup has no such control, or it is not delegated"));
            }
        }
        Ok(discarded)
    }

    pub(super) fn set_frozen(&self, frozen: bool) -> Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })?;
        self.wait_until("frozen", frozen)
    }

    pub(super) fn is_frozen(&self) -> Result<bool> {
        Ok(stats::field(&self.read("cgroup.events")?, "frozen") == Some(1))
    }

    /// cgroup.events wakes poll(2) with POLLPRI when one of its values changes.
    fn wait_until(&self, name: &'static str, wanted: bool) -> Result<()> {
        let file = "cgroup.events";
        let events = self.open_file(file, OFlags::RDONLY)?;
        // The freezer waits for processes in uninterruptible sleep; a caller is not to hang with them.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            if stats::field(&read_whole(&events).map_err(|e| failed(&self.path, file, e))?, name)
                == Some(u64::from(wanted))
            {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Err(failed(&self.path, file, Errno::TIMEDOUT));
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match rustix::event::poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(&self.path, file, errno)),
            }
        }
    }

    pub(super) fn kill(&self) -> Result<()> {
        match self.write("cgroup.kill", "1") {
            Err(Error::Cgroup { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.kill_one_by_one()
            }
            other => other,
        }
    }

    /// Frozen first, so that nothing forks away while the list is read.
    fn kill_one_by_one(&self) -> Result<()> {
        self.set_frozen(true)?;
        for pid in self.pids()? {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(errno) => return Err(failed(&self.path, "kill", errno)),
                }
            }
        }
        self.set_frozen(false)
    }

    pub(super) fn stats(&self) -> Result<Stats> {
        stats::read(self)
    }

    pub(super) fn pids(&self) -> Result<Vec<u32>> {
        let mut pids: Vec<u32> = self.read("cgroup.procs")?.lines().filter_map(|l| l.parse().ok()).collect();
        for child in self.children()? {
            pids.extend(Self::open(&self.path.join(child))?.pids()?);
        }
        Ok(pids)
    }

    pub(super) fn oom_kills(&self) -> Result<u64> {
        Ok(self.read_optional("memory.events")?.and_then(|t| stats::field(&t, "oom_kill")).unwrap_or(0))
    }

    /// `memory.events` and the group's path, or none when the memory controller is not enabled.
    pub(super) fn memory_events(&self) -> Result<Option<(OwnedFd, PathBuf)>> {
        match self.open_file("memory.events", OFlags::RDONLY) {
            Err(Error::Cgroup { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(|file| Some((file, self.path.clone()))),
        }
    }

    fn children(&self) -> Result<Vec<String>> {
        let directory = Dir::read_from(&self.fd).map_err(|e| failed(&self.path, "getdents64", e))?;
        let mut names = Vec::new();
        for entry in directory {
            let entry = entry.map_err(|e| failed(&self.path, "getdents64", e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_dir() && name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(super) fn remove(&self) -> Result<()> {
        for child in self.children()? {
            Self::open(&self.path.join(child))?.remove()?;
        }
        match rustix::fs::unlinkat(rustix::fs::CWD, &self.path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(&self.path, "rmdir", errno)),
        }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> Result<OwnedFd> {
        rustix::fs::openat(&self.fd, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|e| failed(&self.path, name, e))
    }

    pub(super) fn read(&self, name: &str) -> Result<String> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        read_whole(&file).map_err(|e| failed(&self.path, name, e))
    }

    /// The file's text, or none when its controller is not enabled.
    pub(super) fn read_optional(&self, name: &str) -> Result<Option<String>> {
        match self.read(name) {
            Err(Error::Cgroup { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    pub(super) fn write(&self, name: &str, value: &str) -> Result<()> {
        let file = self.open_file(name, OFlags::WRONLY)?;
        rustix::io::write(&file, value.as_bytes()).map_err(|e| failed(&self.path, name, e))?;
        Ok(())
    }

    /// False when there is no such file.
    fn write_existing(&self, name: &str, value: &str) -> Result<bool> {
        match self.write(name, value) {
            Err(Error::Cgroup { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Moves the calling process into the group.
    pub(crate) fn enter(&self) -> Result<()> {
        self.write("cgroup.procs", "0")
    }
}

fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::BUSY, Errno::ACCESS, Errno::PERM, Errno::INVAL, Errno::NOENT, Errno::NOTSUP];
    refusals.iter().any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}

fn failed(path: &Path, file: &str, errno: Errno) -> Error {
    Error::Cgroup { path: path.to_owned(), file: file.to_owned(), source: errno.into() }
}

pub(super) fn read_whole(file: &OwnedFd) -> Result<String, Errno> {
    let (mut bytes, mut chunk) = (Vec::new(), [0u8; 4096]);
    loop {
        match rustix::io::pread(file, &mut chunk[..], bytes.len() as u64)? {
            0 => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}
