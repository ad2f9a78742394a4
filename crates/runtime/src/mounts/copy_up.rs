//! `tmpcopyup`: a tmpfs that starts with what it covers.

use crate::root::Root;
use rustix::{
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timestamps, Uid},
    io::Errno,
};
use std::{os::fd::OwnedFd, path::Path};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Copies the directory at `path` below `root` into the still detached `mount`. Nothing there: nothing to copy.
pub(super) fn copy(root: &Root, path: &Path, mount: &OwnedFd) -> Result<(), Errno> {
    let from = match root.open(path, OFlags::RDONLY | OFlags::DIRECTORY, ResolveFlags::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other?,
    };
    let to = rustix::fs::openat(mount, ".", DIRECTORY, Mode::empty())?;
    copy_directory(&from, &to)
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            copy_entry(from, to, entry.file_name())?;
        }
    }
    copy_metadata(from, to)
}

/// Files of other types (sockets, devices) mean nothing in a copy and are left out.
fn copy_entry(from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr) -> Result<(), Errno> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
            let open = |at| rustix::fs::openat(at, name, DIRECTORY, Mode::empty());
            copy_directory(&open(from)?, &open(to)?)
        }
        FileType::RegularFile => copy_file(from, to, name),
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(&target, to, name)?;
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        }
        _ => Ok(()),
    }
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr) -> Result<(), Errno> {
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let source = rustix::fs::openat(from, name, flags | OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    let copy = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let target = rustix::fs::openat(to, name, copy, Mode::from_raw_mode(0o600))?;
    while rustix::fs::sendfile(&target, &source, None, 1 << 30)? > 0 {}
    copy_metadata(&source, &target)
}

fn copy_metadata(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(from)?;
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    // After chown, which clears the set-ID bits (chown(2)).
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    rustix::fs::futimens(
        to,
        &Timestamps {
            last_access: rustix::fs::Timespec {
                tv_sec: stat.st_atime as i64,
                tv_nsec: stat.st_atime_nsec as i64,
            },
            last_modification: rustix::fs::Timespec {
                tv_sec: stat.st_mtime as i64,
                tv_nsec: stat.st_mtime_nsec as i64,
            },
        },
    )
}
