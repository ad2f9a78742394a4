//! Paths below a container's root, resolved by the kernel as the container would resolve them.
//!
//! openat2(2) with `RESOLVE_IN_ROOT` treats the root descriptor as `/` for absolute links and `..`, in one system call
//! that a concurrent rename cannot fool; `RESOLVE_NO_MAGICLINKS` refuses `/proc/self/fd/N` and its like
//! (CVE-2024-21626). What comes back is a descriptor, and only descriptors are acted upon.

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    ffi::OsStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

/// Most dangling links followed while directories are made (path_resolution(7) has 40 for all links).
const MAX_LINKS: usize = 40;

/// A root directory.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
}

impl Root {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What `path` leads to, as a location (O_PATH).
    pub(crate) fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::PATH, ResolveFlags::empty())
    }

    /// The same, refusing every symbolic link with ELOOP. (With O_NOFOLLOW the last one would be opened itself.)
    pub(crate) fn resolve_without_links(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::PATH, ResolveFlags::NO_SYMLINKS)
    }

    pub(crate) fn open(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // EAGAIN: something was renamed while `..` was being resolved (openat2(2)).
        loop {
            match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => continue,
                other => return other,
            }
        }
    }

    /// The directory `path`, made with its parents where they are missing.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.make_directory_within(&clean(path), MAX_LINKS)
    }

    fn make_directory_within(&self, path: &Path, links: usize) -> Result<OwnedFd, Errno> {
        match self.resolve(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
        let parent_fd = self.make_directory_within(parent, links)?;
        match rustix::fs::mkdirat(&parent_fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.resolve(path),
            Err(Errno::EXIST) => self.follow_dangling(parent, &parent_fd, name, links, path),
            Err(errno) => Err(errno),
        }
    }

    /// `path` exists after all: made by somebody else meanwhile, or a link to what does not exist, which is then made.
    fn follow_dangling(
        &self,
        parent: &Path,
        parent_fd: &OwnedFd,
        name: &OsStr,
        links: usize,
        path: &Path,
    ) -> Result<OwnedFd, Errno> {
        match self.resolve(path) {
            Err(Errno::NOENT) if links > 0 => {}
            Err(Errno::NOENT) => return Err(Errno::LOOP),
            other => return other,
        }
        let target = rustix::fs::readlinkat(parent_fd, name, Vec::new())?;
        let target = parent.join(Path::new(target.to_str().map_err(|_| Errno::ILSEQ)?));
        self.make_directory_within(&clean(&target), links - 1)
    }

    /// The file `path`, made empty, with its parents, where it is missing.
    pub(crate) fn make_file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = clean(path);
        match self.resolve(&path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (parent, name) = self.make_parent(&path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&parent, &*name, flags, Mode::from_raw_mode(0o755)) {
            Ok(_) | Err(Errno::EXIST) => self.resolve(&path),
            Err(errno) => Err(errno),
        }
    }

    /// The parent directory of `path`, made where it is missing, and the last name.
    pub(crate) fn make_parent(&self, path: &Path) -> Result<(OwnedFd, PathBuf), Errno> {
        let path = clean(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
        Ok((self.make_directory(parent)?, PathBuf::from(name)))
    }
}

/// `/a/./b/../c` as `/a/c`: `..` of a configured path is a matter of spelling, not of links (Go's `filepath.Clean`).
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Whether a location is a directory.
pub(crate) fn is_directory(fd: impl AsFd) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let fd = sys::mount::open_path(directory.path()).unwrap();
        (directory, Root::new(fd))
    }

    #[test]
    fn links_stay_below_the_root() {
        let (directory, root) = root();
        symlink("/etc", directory.path().join("absolute")).unwrap();
        symlink("../../../../etc", directory.path().join("upwards")).unwrap();
        for path in ["absolute/made", "upwards/made"] {
            let made = root.make_directory(Path::new(path)).unwrap();
            assert!(is_directory(made).unwrap());
            assert!(directory.path().join("etc/made").is_dir(), "{path}");
            std::fs::remove_dir_all(directory.path().join("etc")).unwrap();
        }
    }

    #[test]
    fn magic_links_are_refused() {
        let (directory, root) = root();
        symlink("/proc/self/cwd", directory.path().join("cwd")).unwrap();
        std::fs::create_dir(directory.path().join("proc")).unwrap();
        assert_eq!(root.resolve(Path::new("/proc/self/cwd")).unwrap_err(), Errno::NOENT);
        let real = Root::new(sys::mount::open_path(Path::new("/")).unwrap());
        assert_eq!(real.resolve(Path::new("/proc/self/cwd")).unwrap_err(), Errno::LOOP);
        assert_eq!(real.make_directory(Path::new("/proc/self/cwd/x")).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn a_link_is_no_ordinary_directory() {
        let (directory, root) = root();
        std::fs::create_dir(directory.path().join("real")).unwrap();
        symlink("real", directory.path().join("link")).unwrap();
        assert!(root.resolve_without_links(Path::new("/real")).is_ok());
        assert_eq!(root.resolve_without_links(Path::new("/link")).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let (directory, root) = root();
        symlink("b", directory.path().join("a")).unwrap();
        symlink("a", directory.path().join("b")).unwrap();
        assert_eq!(root.make_directory(Path::new("/a/x")).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn files_are_made_with_their_parents() {
        let (directory, root) = root();
        assert!(
            !is_directory(root.make_file(Path::new("/x/y/../file")).unwrap_or_else(|e| panic!("{e}")))
                .unwrap()
        );
        assert!(directory.path().join("x/file").is_file());
    }

    #[test]
    fn spelling_is_cleaned() {
        assert_eq!(clean(Path::new("/a/./b//../c/")), Path::new("/a/c"));
        assert_eq!(clean(Path::new("../../x")), Path::new("/x"));
    }
}
