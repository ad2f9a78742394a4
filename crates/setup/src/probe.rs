//! Trying for real what no file tells: a user namespace with its rights, and an overlay in it.
//!
//! A process that unshares must be single-threaded and does not come back, so this program runs itself once more as
//! `lichen setup probe …` for each.

use model::Rootfs;
use rustix::fs::{CWD, Mode, OFlags};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use sys::namespaces::{self, Kind, Set};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Works,
    Fails(String),
}

/// Why a probe ended.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    System(#[from] sys::Error),
    #[error("{operation} {}: {source}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    fn file(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { operation, path, source }
    }
}

pub(crate) fn user_namespace(program: &Path) -> Probe {
    run(program, &["userns".as_ref()])
}

/// `directory` takes a scratch directory: overlay depends on the file system below it.
pub(crate) fn overlay(program: &Path, directory: &Path) -> Probe {
    run(program, &["overlay".as_ref(), directory.as_os_str()])
}

fn run(program: &Path, words: &[&std::ffi::OsStr]) -> Probe {
    let output = Command::new(program).args(["setup", "probe"]).args(words).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Probe::Works,
        Ok(output) => Probe::Fails(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Probe::Fails(format!("{}: {error}", program.display())),
    }
}

/// The child: `userns`, or `overlay DIRECTORY`.
pub(crate) fn child(words: &[String]) -> ExitCode {
    let result = match words {
        [kind] if kind == "userns" => enter(),
        [kind, directory] if kind == "overlay" => enter().and_then(|()| try_overlay(Path::new(directory))),
        _ => return ExitCode::from(2),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Root of a new user namespace, over the caller's own ID alone, with a mount namespace made with its rights: where
/// AppArmor restricts user namespaces, the first succeeds and the second does not.
fn enter() -> Result<(), Error> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    namespaces::unshare(Set::of(&[Kind::User]))?;
    // user_namespaces(7): an unprivileged gid_map needs setgroups(2) denied first.
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(file, text).map_err(Error::file("write", file))?;
    }
    namespaces::unshare(Set::of(&[Kind::Mount]))?;
    Ok(())
}

fn try_overlay(directory: &Path) -> Result<(), Error> {
    let scratch = directory.join(format!(".lichen-overlay-probe-{}", std::process::id()));
    let result = in_scratch(&scratch);
    let removed = fs::remove_dir_all(&scratch).map_err(Error::file("remove", &scratch));
    result.and(removed)
}

/// Two layers below a writable one: a file is created, and one of a lower layer removed, which makes a whiteout.
fn in_scratch(scratch: &Path) -> Result<(), Error> {
    let below = |name: &str| scratch.join(name);
    for name in ["a", "b", "upper", "work"] {
        fs::create_dir_all(below(name)).map_err(Error::file("create", below(name)))?;
    }
    fs::write(below("a/lower"), "").map_err(Error::file("write", below("a/lower")))?;
    let rootfs = Rootfs::Overlay {
        lower: vec![below("b"), below("a")],
        upper: Some(below("upper")),
        work: Some(below("work")),
        options: vec!["userxattr".to_owned()],
    };
    let mount = sys::overlay::mount_detached(&rootfs)?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(&mount, "new", flags, Mode::RUSR | Mode::WUSR)
        .map_err(|e| Error::file("create", "new")(e.into()))?;
    rustix::fs::unlinkat(&mount, "lower", rustix::fs::AtFlags::empty())
        .map_err(|e| Error::file("remove", "lower")(e.into()))?;
    // The whiteout is a file of the upper layer now.
    rustix::fs::statat(CWD, below("upper/lower"), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| Error::file("find the whiteout", below("upper/lower"))(e.into()))?;
    Ok(())
}
