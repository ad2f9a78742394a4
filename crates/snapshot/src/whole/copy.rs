//! Copying a tree, sharing blocks where the file system can.

use archive::{
    at,
    walk::{Found, Walk},
};
use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid},
    io::Errno,
};
use std::{
    collections::HashMap,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Makes `to`, an empty directory, like `from`: contents, hard links, owners, modes, attributes, times.
pub fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut walk = Walk::new(from)?;
    let mut links: HashMap<u64, Vec<u8>> = HashMap::new();
    // Making something in a directory changes its times, so directories get theirs in the end.
    let mut directories = vec![(b".".to_vec(), fs::fstat(from)?)];
    // The target's directories, one for each level of the walk.
    let mut targets: Vec<OwnedFd> = vec![at::open_dir(to, b".")?];
    attributes(at::open_dir(from, b".")?.as_fd(), targets[0].as_fd(), &directories[0].1)?;
    while let Some(found) = walk.next_found()? {
        let depth = 1 + found.path.iter().filter(|b| **b == b'/').count();
        targets.truncate(depth);
        let Some(target) = targets.last() else { return Err(Errno::NOENT.into()) };
        if let Some(first) = first_link(&mut links, &found) {
            fs::linkat(to, first.as_slice(), target, found.name, AtFlags::empty())?;
            continue;
        }
        copy_one(&found, target.as_fd())?;
        if found.is_dir() {
            directories.push((found.path.to_vec(), found.stat));
            let next = at::open_dir(target.as_fd(), found.name)?;
            walk.enter()?;
            targets.push(next);
        }
    }
    for (path, stat) in directories.iter().rev() {
        let dir = at::open_in_root(to, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
        fs::futimens(&dir, &at::times_of(stat))?;
    }
    Ok(())
}

/// Where a further link to the same file was put first.
fn first_link(links: &mut HashMap<u64, Vec<u8>>, found: &Found<'_>) -> Option<Vec<u8>> {
    if found.is_dir() || found.stat.st_nlink < 2 {
        return None;
    }
    let first = links.get(&found.stat.st_ino).cloned();
    if first.is_none() {
        links.insert(found.stat.st_ino, found.path.to_vec());
    }
    first
}

fn copy_one(found: &Found<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let (name, stat) = (found.name, &found.stat);
    match found.kind() {
        FileType::RegularFile => {
            let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let from = File::from(fs::openat(found.dir, name, read, Mode::empty())?);
            let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let target = File::from(fs::openat(to, name, write, Mode::from(0o600))?);
            contents(&from, &target, stat)?;
            attributes(from.as_fd(), target.as_fd(), stat)?;
            Ok(fs::futimens(&target, &at::times_of(stat))?)
        }
        FileType::Directory => {
            fs::mkdirat(to, name, Mode::from(0o700))?;
            attributes(at::open_dir(found.dir, name)?.as_fd(), at::open_dir(to, name)?.as_fd(), stat)
        }
        FileType::Symlink => {
            fs::symlinkat(&fs::readlinkat(found.dir, name, Vec::new())?, to, name)?;
            own_named(to, name, stat)
        }
        kind => {
            fs::mknodat(to, name, kind, Mode::from(stat.st_mode & 0o7777), stat.st_rdev)?;
            own_named(to, name, stat)?;
            Ok(fs::chmodat(to, name, Mode::from(stat.st_mode & 0o7777), AtFlags::empty())?)
        }
    }
}

/// Shares the blocks, or lets the kernel copy them; holes stay holes only when shared.
fn contents(mut from: &File, mut to: &File, stat: &Stat) -> io::Result<()> {
    if stat.st_size == 0 {
        return Ok(());
    }
    match fs::ioctl_ficlone(to, from) {
        Ok(()) => Ok(()),
        // Another file system, or one that cannot: EINVAL, EOPNOTSUPP, ENOTTY, EXDEV. io::copy uses copy_file_range(2).
        Err(_) => io::copy(&mut from, &mut to).map(drop),
    }
}

/// In this order: a new owner takes set-user-ID and capabilities away.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    own(stat, |uid, gid| fs::fchown(to, uid, gid))?;
    fs::fchmod(to, Mode::from(stat.st_mode & 0o7777))?;
    at::copy_xattrs(from, to)
}

fn own_named(to: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<()> {
    own(stat, |uid, gid| fs::chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))?;
    Ok(fs::utimensat(to, name, &at::times_of(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn own(
    stat: &Stat,
    chown: impl FnOnce(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
) -> io::Result<()> {
    Ok(chown(Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?)
}
