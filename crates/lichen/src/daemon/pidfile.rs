//! The PID file, for people and for `kill $(cat docker.pid)`.

use super::error::{Error, Result};
use super::lock::Lock;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tracing::warn;

/// A PID file that is there for as long as this value.
#[derive(Debug)]
pub(super) struct Pidfile(PathBuf);

impl Pidfile {
    /// The lock that says whose the file at `path` is: engines with other directories have the same one by default.
    /// It is not the file itself, which is replaced whenever another engine is started.
    pub(super) fn lock(path: &Path) -> Result<Lock> {
        let mut name = OsString::from(path);
        name.push(".lock");
        Lock::take(name.into(), path).map_err(|error| match error {
            Error::Io { source, .. } => Error::Pidfile { path: path.to_owned(), source },
            error => error,
        })
    }

    /// Made or replaced. Its lock is held.
    pub(super) fn new(path: &Path, pid: u32) -> Result<Self> {
        let file = Self(path.to_owned());
        file.write(pid).map(|()| file)
    }

    /// dockerd writes it without a newline.
    pub(super) fn write(&self, pid: u32) -> Result<()> {
        rootless::state::write_whole(&self.0, pid.to_string().as_bytes())
            .map_err(|source| Error::Pidfile { path: self.0.clone(), source })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(e) if e.kind() != ErrorKind::NotFound => warn!("remove {}: {e}", self.0.display()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_one_engines_and_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker.pid");
        let mut lock = Pidfile::lock(&path).unwrap();
        lock.sign(None).unwrap();
        let file = Pidfile::new(&path, 7).unwrap();
        file.write(12).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "12");
        let refused = Pidfile::lock(&path).map(|_| ()).unwrap_err().to_string();
        let running = format!("process with PID {} is still running", std::process::id());
        assert!(refused.ends_with(&running) && refused.contains(path.to_str().unwrap()), "{refused}");
        drop((file, lock));
        assert!(!path.exists() && Pidfile::lock(&path).is_ok());
    }
}
