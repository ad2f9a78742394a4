//! Paths that others can change while they are walked: openat2(2), within a directory.

use crate::{Error, Result};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// How often openat2(2) is asked again after `EAGAIN`, as often as `archive::at` does.
const TRIES: usize = 128;

/// What is at `path` below a directory, as `O_PATH`.
///
/// # Errors
/// `EXDEV` or `ELOOP` when a symbolic link leads out of the directory, an absolute one always (`RESOLVE_BENEATH`).
pub fn beneath(directory: impl AsFd, path: impl AsRef<Path>) -> Result<OwnedFd> {
    open(directory, path.as_ref(), ResolveFlags::BENEATH)
}

/// The same with the directory as the root: absolute links, and `..` at the top, lead to it (`RESOLVE_IN_ROOT`).
pub fn in_root(directory: impl AsFd, path: impl AsRef<Path>) -> Result<OwnedFd> {
    open(directory, path.as_ref(), ResolveFlags::IN_ROOT)
}

fn open(directory: impl AsFd, path: &Path, within: ResolveFlags) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = within | ResolveFlags::NO_MAGICLINKS;
    let open = || openat2(&directory, path, flags, Mode::empty(), resolve);
    // A rename elsewhere raced with a `..` in the path (openat2(2)). Whoever renames without end gets the error.
    let opened = (0..TRIES).map(|_| open()).find(|opened| !matches!(opened, Err(Errno::AGAIN)));
    opened.unwrap_or(Err(Errno::AGAIN)).map_err(Error::of("openat2", path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn links_stay_within_the_directory() {
        testing::in_userns("resolve::tests::links_stay_within_the_directory", || {
            fs::create_dir_all("top/a").unwrap();
            symlink("a", "top/good").unwrap();
            symlink("/a", "top/absolute").unwrap();
            symlink("../../a", "top/up").unwrap();
            let directory = fs::File::open("top").unwrap();
            beneath(&directory, "good").unwrap();
            for path in ["absolute", "up"] {
                let error = beneath(&directory, path).unwrap_err();
                assert!(matches!(error.errno, Errno::XDEV | Errno::LOOP), "{path}: {error}");
                in_root(&directory, path).unwrap();
            }
            let error = in_root(&directory, "none").unwrap_err();
            assert_eq!((error.errno, error.args.as_str()), (Errno::NOENT, "none"));
        });
    }
}
