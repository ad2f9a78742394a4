//! Operations on directory descriptors, the only way this crate and the storage drivers touch a tree.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use std::{ffi::CString, io};

/// Opens `path` (relative, or absolute as the tree sees it) with the tree's root as if it were `/`. Symbolic links on
/// the way stay inside; magic links of procfs lead nowhere.
///
/// openat2(2) answers `EAGAIN` when a rename within the tree left it unsure; a tree that is renamed all the time is
/// given up on.
pub fn open_in_root(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    const ATTEMPTS: usize = 128;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..ATTEMPTS {
        match fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
    Ok(fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// Opens a directory that is directly inside `dir`, to be read.
pub fn open_dir(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::io::retry_on_intr(|| fs::openat(dir, name, flags, Mode::empty()))?)
}

/// lstat(2) of something directly inside `dir`.
pub fn stat(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Stat>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A kernel overlay's mark of a removed file: a character device 0:0.
pub fn is_whiteout(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The names in a directory, without `.` and `..`, in the file system's order.
pub fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Removes `name` in `dir` with everything below it. What is not there is removed already.
pub fn remove_tree(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // unlink(2) of a directory: EISDIR on Linux, EPERM in POSIX and on some network file systems.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e.into()),
    }
    let top = open_dir(dir, name)?;
    // Directories nested deeper than descriptors allow come to the top, so once may not be enough.
    while empty(top.as_fd(), top.as_fd(), 0)? > 0 {}
    match fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Removes what is in `dir` and tells how many directories it lifted into `top` instead.
fn empty(dir: BorrowedFd<'_>, top: BorrowedFd<'_>, depth: usize) -> io::Result<usize> {
    const DEEPEST: usize = 100;
    let mut lifted = 0;
    for name in names(dir)? {
        match fs::unlinkat(dir, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
        if depth == DEEPEST {
            lift(dir, &name, top)?;
            lifted += 1;
            continue;
        }
        let below = open_dir(dir, name.to_bytes())?;
        lifted += empty(below.as_fd(), top, depth + 1)?;
        drop(below);
        match fs::unlinkat(dir, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(lifted)
}

fn lift(dir: BorrowedFd<'_>, name: &CString, top: BorrowedFd<'_>) -> io::Result<()> {
    for number in 0..u32::MAX {
        match fs::renameat_with(dir, name, top, format!(".lifted-{number}"), fs::RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::EXIST.into())
}

/// A directory of this process' descriptors as a path, for the calls that have no form with a descriptor: extended
/// attributes of what cannot be opened. `name` is one component.
pub fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> CString {
    use std::os::fd::AsRawFd;
    let bytes = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat();
    CString::new(bytes).unwrap_or_default()
}

/// Value of an extended attribute of an open file, or none when it has no such attribute or cannot have any.
pub fn xattr(file: impl AsFd, name: impl rustix::path::Arg + Copy) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 256];
    loop {
        match fs::fgetxattr(&file, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::RANGE) => value.resize(value.len() * 4, 0),
            Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
    }
}

/// An extended attribute of something directly inside `dir`, not followed.
pub fn xattr_at(dir: BorrowedFd<'_>, name: &[u8], attribute: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 4096];
    match fs::lgetxattr(proc_path(dir, name), attribute, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP | Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Names of the extended attributes of an open file; empty where the file system has none.
pub fn xattr_names(file: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut list = vec![0; 1024];
    loop {
        match fs::flistxattr(file, list.as_mut_slice()) {
            Ok(length) => {
                list.truncate(length);
                return Ok(split_names(&list));
            }
            Err(Errno::RANGE) => list.resize(list.len() * 4, 0),
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Err(e) => return Err(e.into()),
        }
    }
}

fn split_names(list: &[u8]) -> Vec<CString> {
    list.split_inclusive(|b| *b == 0)
        .filter_map(|name| std::ffi::CStr::from_bytes_with_nul(name).ok().map(std::ffi::CStr::to_owned))
        .collect()
}

/// Copies what extended attributes the target may have. `trusted.*` is invisible in a user namespace, and SELinux labels
/// new files by its own rules.
pub fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for name in xattr_names(from)? {
        if name.to_bytes() == b"security.selinux" {
            continue;
        }
        let Some(value) = xattr(from, &name)? else { continue };
        match fs::fsetxattr(to, &name, &value, fs::XattrFlags::empty()) {
            Ok(()) | Err(Errno::PERM | Errno::NOTSUP) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// The times of a file, to be given to a copy of it. The access time is left to the kernel.
pub fn times_of(stat: &Stat) -> fs::Timestamps {
    fs::Timestamps {
        last_access: fs::Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT as _ },
        last_modification: fs::Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ },
    }
}
