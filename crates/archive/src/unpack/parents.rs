//! The directory that an entry goes into.
//!
//! Nearly always it exists, because archives list directories before what is in them, and nearly always it is the one
//! of the entry before. Else the archive *implies* it: then the layers below say what it is (a directory whose
//! attributes are kept, or a symbolic link such as `lib -> usr/lib` that is followed, as it would be had the archive
//! been unpacked on top of them), or it is made as Docker makes it, root's and mode 0755.

use super::{Options, Ownership, below::BelowView, extract::Made};
use crate::{
    Error, Result, at, path,
    whiteout::{self, Whiteouts},
};
use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags},
    io::Errno,
};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

/// As many as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

pub struct Parents<'a> {
    root: BorrowedFd<'a>,
    whiteouts: Whiteouts,
    ownership: Ownership,
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    below: BelowView<'a>,
}

impl<'a> Parents<'a> {
    pub fn new(root: BorrowedFd<'a>, options: &'a Options<'a>) -> Self {
        Self {
            root,
            whiteouts: options.whiteouts,
            ownership: options.ownership,
            last: None,
            below: BelowView::new(options.below),
        }
    }

    /// Something that a held path may lead through is gone.
    pub fn forget(&mut self) {
        self.last = None;
    }

    pub fn below(&mut self) -> &mut BelowView<'a> {
        &mut self.below
    }

    /// The directory of these components, made when the archive implies it.
    pub fn open(&mut self, parts: &[&[u8]], made: &mut Made) -> Result<Rc<OwnedFd>> {
        let path = path::join(parts);
        if let Some((last, dir)) = &self.last
            && *last == path
        {
            return Ok(dir.clone());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let dir = match at::open_in_root(self.root, &path, flags) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.make(parts, made)?
            }
            other => other.map_err(|source| fail("open", &path, source))?,
        };
        let dir = Rc::new(dir);
        self.last = Some((path, dir.clone()));
        Ok(dir)
    }

    /// Walks the components one by one, making what is missing.
    fn make(&mut self, parts: &[&[u8]], made: &mut Made) -> Result<OwnedFd> {
        let mut ahead: VecDeque<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
        let mut walked: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        let mut shadowed = false;
        let mut dir = self.reopen(&walked)?;
        while let Some(part) = ahead.pop_front() {
            if part == b".." {
                walked.pop();
                dir = self.reopen(&walked)?;
                continue;
            }
            walked.push(part);
            let step = Step { dir: dir.as_fd(), walked: &walked };
            match self.step(&step, &mut shadowed, made)? {
                Stepped::Into(next) => dir = next,
                Stepped::Link(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(step.fail("open", Errno::LOOP));
                    }
                    walked.pop();
                    if target.starts_with(b"/") {
                        walked.clear();
                        dir = self.reopen(&walked)?;
                    }
                    let parts = target.split(|b| *b == b'/').filter(|p| !matches!(*p, b"" | b"."));
                    for part in parts.rev().map(<[u8]>::to_vec) {
                        ahead.push_front(part);
                    }
                }
            }
        }
        Ok(dir)
    }

    fn step(&mut self, step: &Step<'_>, shadowed: &mut bool, made: &mut Made) -> Result<Stepped> {
        let found = at::stat(step.dir, step.name()).map_err(|e| step.fail("stat", e))?;
        match found.as_ref().map(at::file_type) {
            Some(FileType::Directory) => {
                let next = at::open_dir(step.dir, step.name()).map_err(|e| step.fail("open", e))?;
                if let Some(mark) = self.whiteouts.opaque_mark() {
                    *shadowed |= at::xattr(&next, mark).map_err(|e| step.fail("getxattr", e))?.is_some();
                }
                Ok(Stepped::Into(next))
            }
            Some(FileType::Symlink) => Ok(Stepped::Link(step.read_link(step.dir)?)),
            Some(_)
                if found.as_ref().is_some_and(at::is_whiteout) && self.whiteouts == Whiteouts::Overlay =>
            {
                // `.wh.NAME` and then `NAME/…`: a new directory that hides the old one.
                fs::unlinkat(step.dir, step.name(), AtFlags::empty()).map_err(|e| step.fail("remove", e))?;
                self.new_opaque(step, shadowed, made)
            }
            Some(_) => Err(step.fail("mkdir", Errno::NOTDIR)),
            None if self.was_removed(step)? => self.new_opaque(step, shadowed, made),
            None => {
                let below = if *shadowed { None } else { self.below.stat(&step.path())? };
                match below {
                    Some((file, stat)) if at::file_type(&stat) == FileType::Symlink => {
                        self.copy_link(step, &file, &stat, made)
                    }
                    Some((file, stat)) if at::file_type(&stat) == FileType::Directory => {
                        self.new_directory(step, Some((file, stat)), made).map(Stepped::Into)
                    }
                    _ => self.new_directory(step, None, made).map(Stepped::Into),
                }
            }
        }
    }

    /// The same with a mark in a file beside it, which is taken back.
    fn was_removed(&self, step: &Step<'_>) -> Result<bool> {
        if self.whiteouts != Whiteouts::FuseOverlay {
            return Ok(false);
        }
        whiteout::take_back(step.dir, step.name()).map_err(|e| fail("remove", &step.path(), e))
    }

    fn new_opaque(&self, step: &Step<'_>, shadowed: &mut bool, made: &mut Made) -> Result<Stepped> {
        *shadowed = true;
        let next = self.new_directory(step, None, made)?;
        if let Some(mark) = self.whiteouts.opaque_mark() {
            fs::fsetxattr(&next, mark, b"y", XattrFlags::empty()).map_err(|e| step.fail("setxattr", e))?;
        }
        Ok(Stepped::Into(next))
    }

    /// A directory with the attributes of the one below, or with those of an implied one.
    fn new_directory(
        &self,
        step: &Step<'_>,
        model: Option<(OwnedFd, Stat)>,
        made: &mut Made,
    ) -> Result<OwnedFd> {
        fs::mkdirat(step.dir, step.name(), Mode::from(0o700)).map_err(|e| step.fail("mkdir", e))?;
        let dir = at::open_dir(step.dir, step.name()).map_err(|e| step.fail("open", e))?;
        let (uid, gid, mode) = match (&model, self.ownership) {
            (Some((_, stat)), _) => (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777),
            (None, Ownership::Fixed(uid, gid)) => (uid.0, gid.0, 0o755),
            (None, Ownership::Archive | Ownership::Recorded) => (0, 0, 0o755),
        };
        if self.ownership != Ownership::Recorded {
            fs::fchown(&dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(|e| step.fail("lchown", e))?;
        }
        fs::fchmod(&dir, Mode::from(mode)).map_err(|e| step.fail("chmod", e))?;
        if let Some((below, stat)) = &model {
            let below = at::open_dir(below.as_fd(), b".").map_err(|e| step.fail("open", e))?;
            at::copy_xattrs(below.as_fd(), dir.as_fd()).map_err(|e| step.fail("setxattr", e))?;
            made.times.push((step.path(), (stat.st_mtime, stat.st_mtime_nsec as u32)));
        }
        if self.whiteouts == Whiteouts::Apply {
            made.inodes.insert(fs::fstat(&dir).map_err(|e| step.fail("stat", e))?.st_ino);
        }
        made.contents.inodes += 1;
        Ok(dir)
    }

    fn copy_link(&self, step: &Step<'_>, file: &OwnedFd, stat: &Stat, made: &mut Made) -> Result<Stepped> {
        let target = fs::readlinkat(file, c"", Vec::new()).map_err(|e| step.fail("readlink", e))?;
        fs::symlinkat(&target, step.dir, step.name()).map_err(|e| step.fail("symlink", e))?;
        if self.ownership != Ownership::Recorded {
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            fs::chownat(step.dir, step.name(), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| step.fail("lchown", e))?;
        }
        made.contents.inodes += 1;
        Ok(Stepped::Link(target.into_bytes()))
    }

    fn reopen(&self, walked: &[Vec<u8>]) -> Result<OwnedFd> {
        let path = if walked.is_empty() { b".".to_vec() } else { walked.join(&b'/') };
        at::open_in_root(self.root, &path, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|e| fail("open", &path, e))
    }
}

enum Stepped {
    Into(OwnedFd),
    Link(Vec<u8>),
}

/// One component: the last of `walked`, in `dir`.
struct Step<'s> {
    dir: BorrowedFd<'s>,
    walked: &'s [Vec<u8>],
}

impl Step<'_> {
    fn name(&self) -> &[u8] {
        self.walked.last().map_or(b".", Vec::as_slice)
    }

    fn path(&self) -> Vec<u8> {
        self.walked.join(&b'/')
    }

    fn read_link(&self, dir: BorrowedFd<'_>) -> Result<Vec<u8>> {
        fs::readlinkat(dir, self.name(), Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|e| self.fail("readlink", e))
    }

    fn fail(&self, operation: &'static str, source: impl Into<io::Error>) -> Error {
        fail(operation, &self.path(), source.into())
    }
}

fn fail(operation: &'static str, path: &[u8], source: io::Error) -> Error {
    Error::File { operation, path: path::to_path(path), source }
}
