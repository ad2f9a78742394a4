//! Looking into the layers below, and copying up what a hard link of the archive needs of them.

use super::{Below, Ownership, extract::Extractor};
use crate::{Error, Result, at, path};
use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// The layers below, opened when first asked for.
pub struct BelowView<'a> {
    source: Option<&'a dyn Below>,
    root: Option<OwnedFd>,
}

impl<'a> BelowView<'a> {
    pub fn new(source: Option<&'a dyn Below>) -> Self {
        Self { source, root: None }
    }

    /// What `path` is in the layers below, not followed at its end, or none. The descriptor is one of `O_PATH`.
    pub fn stat(&mut self, path: &[u8]) -> Result<Option<(OwnedFd, Stat)>> {
        let Some(file) = self.open(path, OFlags::PATH | OFlags::NOFOLLOW)? else { return Ok(None) };
        let stat = fs::fstat(&file).map_err(|e| fail(path, e.into()))?;
        Ok(Some((file, stat)))
    }

    fn open(&mut self, path: &[u8], flags: OFlags) -> Result<Option<OwnedFd>> {
        if let Some(source) = self.source.take() {
            self.root = source.open().map_err(|e| fail(path, e))?;
        }
        let Some(root) = &self.root else { return Ok(None) };
        match at::open_in_root(root.as_fd(), path, flags) {
            Ok(file) => Ok(Some(file)),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(fail(path, e)),
        }
    }
}

fn fail(path: &[u8], source: io::Error) -> Error {
    Error::Below { path: path::to_path(path), source }
}

pub fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Extractor<'_> {
    /// Copies the target of a hard link from the layers below, when it is theirs: an overlay does the same when a
    /// lower file is linked (copy-up). The other links of that file stay with the old one, as they do there.
    pub(super) fn bring_up(&mut self, target: &[&[u8]]) -> Result<()> {
        let whole = path::join(target);
        match at::open_in_root(self.root, &whole, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(_) => return Ok(()),
            Err(e) if absent(&e) => {}
            Err(source) => {
                return Err(Error::File { operation: "open", path: path::to_path(&whole), source });
            }
        }
        let Some((below, stat)) = self.parents.below().stat(&whole)? else { return Ok(()) };
        let Some((name, above)) = target.split_last() else { return Ok(()) };
        let dir = self.parents.open(above, &mut self.made)?;
        let copied = match at::file_type(&stat) {
            FileType::Symlink => copy_symlink(&below, &stat, dir.as_fd(), name, self.options.ownership),
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                match self.parents.below().open(&whole, flags)? {
                    Some(file) => {
                        copy_file(&File::from(file), &stat, dir.as_fd(), name, self.options.ownership)
                    }
                    None => Err(Errno::NOENT.into()),
                }
            }
            _ => Err(Errno::PERM.into()),
        };
        copied.map_err(|source| Error::File { operation: "copy up", path: path::to_path(&whole), source })?;
        self.made.contents.inodes += 1;
        if at::file_type(&stat) == FileType::RegularFile {
            self.made.contents.file_bytes += u64::try_from(stat.st_size).unwrap_or_default();
        }
        Ok(())
    }
}

fn copy_symlink(
    link: &OwnedFd,
    stat: &Stat,
    dir: BorrowedFd<'_>,
    name: &[u8],
    ownership: Ownership,
) -> io::Result<()> {
    let target = fs::readlinkat(link, c"", Vec::new())?;
    fs::symlinkat(&target, dir, name)?;
    if ownership != Ownership::Recorded {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(fs::utimensat(dir, name, &at::times_of(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn copy_file(
    mut from: &File,
    stat: &Stat,
    dir: BorrowedFd<'_>,
    name: &[u8],
    ownership: Ownership,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut to = File::from(fs::openat(dir, name, flags, Mode::from(0o600))?);
    io::copy(&mut from, &mut to)?;
    if ownership != Ownership::Recorded {
        fs::fchown(&to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    }
    fs::fchmod(&to, Mode::from(stat.st_mode & 0o7777))?;
    at::copy_xattrs(from.as_fd(), to.as_fd())?;
    Ok(fs::futimens(&to, &at::times_of(stat))?)
}
