//! Programs that outlive the engine: started, found again, watched, ended.

use crate::error::{Error, Result};
use model::ProcessRef;
use rustix::process::{Pid, Signal};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs, io,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

/// How long a program may take to end after SIGTERM, and the kernel to end it after SIGKILL: interfaces that go with it
/// wait for locks.
const PATIENCE: Duration = Duration::from_secs(2);
const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// A running program, our child or an earlier engine's.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub process: ProcessRef,
    pidfd: OwnedFd,
}

impl Daemon {
    /// Takes charge of a child, or ends it: it is waited for through its pidfd from here on.
    pub(crate) fn of_child(child: &mut Child) -> Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child's PID is positive");
        let reference = sys::process::reference(pid).map_err(|e| process_error("read the start time", e));
        reference.and_then(Self::find).inspect_err(|_| {
            if let Err(error) = child.kill().and_then(|()| child.wait()) {
                tracing::warn!(%error, pid = child.id(), "cannot end a program that was just started");
            }
        })
    }

    /// The process that a record names, when it still runs.
    pub(crate) fn find(process: ProcessRef) -> Result<Self> {
        let pidfd = sys::pidfd::open(process).map_err(|e| process_error("open a process", e))?;
        Ok(Self { process, pidfd })
    }

    /// A second handle to the same process.
    pub(crate) fn handle(&self) -> Result<OwnedFd> {
        self.pidfd.try_clone().map_err(|source| Error::Namespace { operation: "duplicate a pidfd", source })
    }

    /// Ends the program where `result` is an error: nobody else knows of one that was just started, and it would keep
    /// ports and interfaces from the next.
    pub(crate) fn unless_failed<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|_| {
            if let Err(error) = self.end() {
                tracing::warn!(%error, pid = self.process.pid, "cannot end a program that was just started");
            }
        })
    }

    /// Asks the program to end, insists after a while, and returns when it has ended.
    pub(crate) fn end(&self) -> Result<()> {
        for (signal, patience) in [(Signal::TERM, PATIENCE), (Signal::KILL, KILL_PATIENCE)] {
            match sys::pidfd::signal(&self.pidfd, signal.as_raw()) {
                Err(e) if e.errno == rustix::io::Errno::SRCH => return Ok(()),
                other => other.map_err(|e| process_error("signal a process", e))?,
            }
            if wait(&self.pidfd, Some(patience))? {
                return Ok(());
            }
        }
        let source = io::Error::new(io::ErrorKind::TimedOut, format!("PID {} lives on", self.process.pid));
        Err(Error::Namespace { operation: "kill a process", source })
    }
}

/// Waits until the process behind `pidfd` has ended, and reaps it when it is our child.
pub(crate) fn wait(pidfd: &OwnedFd, timeout: Option<Duration>) -> Result<bool> {
    let ended = sys::pidfd::poll_exit(pidfd, timeout).map_err(|e| process_error("wait for a process", e))?;
    if ended {
        match sys::pidfd::try_wait(pidfd) {
            // Not our child, or reaped by another of our threads.
            Err(e) if e.errno == rustix::io::Errno::CHILD => {}
            other => drop(other.map_err(|e| process_error("reap a process", e))?),
        }
    }
    Ok(ended)
}

fn process_error(operation: &'static str, source: sys::Error) -> Error {
    Error::Namespace { operation, source: source.into() }
}

/// Starts `command` without waiting for it.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    // A ^C at the engine's terminal is not for it.
    command.process_group(0).spawn()
}

/// Writes a record whole or not at all.
pub(crate) fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<()> {
    let failed = |source| Error::File { operation: "write", path: path.to_owned(), source };
    let temporary = path.with_extension("new");
    let text = serde_json::to_vec(record).map_err(|e| failed(e.into()))?;
    fs::write(&temporary, text).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)
}

/// Reads a record; none when there is no file, or one of another release.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { operation: "read", path: path.to_owned(), source }),
    }
}

/// Removes a file that may be gone.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| Error::File { operation: "remove", path: path.to_owned(), source }),
    }
}

/// A log file for a program's output, emptied.
pub(crate) fn log_file(path: &Path) -> Result<fs::File> {
    fs::File::create(path).map_err(|source| Error::File {
        operation: "create",
        path: path.to_owned(),
        source,
    })
}

/// The end of a program's output, on one line.
pub(crate) fn last_words(path: &Path) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    match lines.as_slice() {
        [] => "it said nothing".into(),
        lines => lines[lines.len().saturating_sub(4)..].join("; "),
    }
}
