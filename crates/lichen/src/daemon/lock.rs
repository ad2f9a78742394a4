//! One engine for each run directory, each data root and each PID file.
//!
//! Each has a lock file, with the PID that has it. The lock is flock(2) on a descriptor that the engine
//! inherits, so it lasts until launcher *and* engine are gone, whichever is killed first.

use super::error::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An engine whose launcher was killed ends at once; this is how long its successor waits for that.
const HANDOVER: Duration = Duration::from_secs(5);

/// A held lock.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Take the lock of a directory; see [`Self::take`].
    pub(crate) fn of(dir: &Path, pidfile: &Path) -> Result<Self> {
        Self::take(dir.join("lock"), pidfile)
    }

    /// Take the lock at `path`; refused while another engine has it. `pidfile` is named in the refusal.
    pub(crate) fn take(path: PathBuf, pidfile: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut lock = Self { file: file.map_err(Error::io("open", &path))?, path };
        let deadline = Instant::now() + HANDOVER;
        loop {
            match flock(&lock.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(Errno::AGAIN) => {}
                Err(e) => return Err(Error::io("lock", &lock.path)(e.into())),
            }
            let [launcher, engine] = lock.owners();
            if launcher.is_some_and(is_running) || Instant::now() >= deadline {
                let pid = engine.or(launcher).unwrap_or(0);
                return Err(Error::AlreadyRunning { pid, path: pidfile.to_owned() });
            }
            // Its launcher is gone, so this engine is about to be.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Say who has it: the launcher, and the engine once there is one.
    pub(crate) fn sign(&mut self, engine: Option<u32>) -> Result<()> {
        let text = format!("{}\n{}\n", std::process::id(), engine.unwrap_or(0));
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(text.as_bytes())
        };
        write(&mut self.file).map_err(Error::io("write", &self.path))
    }

    pub(crate) fn descriptor(&self) -> Result<OwnedFd> {
        self.file.try_clone().map(Into::into).map_err(Error::io("share", &self.path))
    }

    fn owners(&mut self) -> [Option<u32>; 2] {
        let mut text = String::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_string(&mut text));
        let mut pids = text.lines().map(|line| line.parse().ok().filter(|pid| *pid > 0));
        match read {
            Ok(_) => [pids.next().flatten(), pids.next().flatten()],
            Err(_) => [None, None],
        }
    }
}

/// A zombie launcher, whose parent does not look, is gone too.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|s| !matches!(s, 'Z' | 'X'))
}
