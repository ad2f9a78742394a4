//! Network namespaces (network_namespaces(7)): making them and working inside them.
//!
//! A thread belongs to one network namespace; the engine's threads belong to the host's. So work inside another one is
//! done by a thread made for it, which leaves sockets behind that stay there.

use crate::error::{Error, Result};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{Mode, OFlags};
use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    thread,
};

fn failed(operation: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Namespace { operation, source }
}

/// Opens a namespace by a path such as `/proc/<pid>/ns/net`.
pub(crate) fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| Error::File {
        operation: "open network namespace",
        path: path.to_owned(),
        source: e.into(),
    })
}

/// The inode number that identifies a namespace among the living.
pub(crate) fn inode(namespace: impl AsFd) -> Result<u64> {
    let stat = rustix::fs::fstat(namespace).map_err(|e| failed("stat network namespace")(e.into()))?;
    Ok(stat.st_ino)
}

/// Runs `work` on a thread that joined `namespace`.
pub(crate) fn inside<T: Send>(
    namespace: impl AsFd + Send,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    on_thread(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)
            .map_err(|e| failed("join network namespace (setns)")(e.into()))?;
        work()
    })
}

/// Makes a namespace, runs `work` inside it, and returns both.
pub(crate) fn create<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<(OwnedFd, T)> {
    on_thread(move || {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|e| failed("make network namespace (unshare)")(e.into()))?;
        let namespace = open(Path::new("/proc/thread-self/ns/net"))?;
        Ok((namespace, work()?))
    })
}

fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, work)
            .map_err(failed("start a thread"))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Writes a setting below `/proc/sys/net` of the calling thread's namespace: the kernel resolves the path by the
/// thread that opens it.
pub(crate) fn set(key: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys/net").join(key);
    let explained = |source: io::Error| match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => io::Error::new(source.kind(), READ_ONLY),
        _ => source,
    };
    fs::write(&path, value).map_err(|source| Error::File {
        operation: "write",
        path,
        source: explained(source),
    })
}

/// What an engine in a container meets.
const READ_ONLY: &str = "read-only file system: in a container, run it with --security-opt systempaths=unconfined or \
                         --privileged";

/// Reads a setting as [`set`] writes it.
pub(crate) fn get(key: &str) -> Result<String> {
    let path = Path::new("/proc/sys/net").join(key);
    fs::read_to_string(&path).map_err(|source| Error::File { operation: "read", path, source })
}

/// As [`set`], for settings that a kernel may lack (no IPv6, a module not loaded): then there is nothing to set.
pub(crate) fn set_if_present(key: &str, value: &str) -> Result<()> {
    match set(key, value) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
