//! Making one file of each kind, by name in a held directory.

use super::extract::{Extractor, Place};
use crate::{
    Error, Result, at, path,
    whiteout::{self, Whiteouts},
};
use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

impl Extractor<'_> {
    pub(super) fn new_file(&mut self, place: &Place<'_>) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.retry_cleared(place, "open", || {
            rustix::io::retry_on_intr(|| fs::openat(place.dir, place.name, flags, Mode::from(0o600)))
        })
        .map(File::from)
    }

    pub(super) fn new_symlink(&mut self, place: &Place<'_>, target: &[u8]) -> Result<()> {
        self.retry_cleared(place, "symlink", || fs::symlinkat(target, place.dir, place.name))
    }

    pub(super) fn new_fifo(&mut self, place: &Place<'_>) -> Result<()> {
        self.retry_cleared(place, "mknod", || {
            fs::mknodat(place.dir, place.name, FileType::Fifo, Mode::from(0o600), 0)
        })
    }

    /// Makes a directory or takes the one that is there, whose content stays (and merges with the archive's). It hides
    /// what is below when the archive removed that before.
    pub(super) fn new_directory(&mut self, place: &Place<'_>, mut hides_below: bool) -> Result<OwnedFd> {
        loop {
            match fs::mkdirat(place.dir, place.name, Mode::from(0o700)) {
                Ok(()) => break,
                Err(Errno::EXIST) => match at::stat(place.dir, place.name).map_err(place.fail("stat"))? {
                    Some(found) if at::file_type(&found) == FileType::Directory => break,
                    found => {
                        // A whiteout of this very archive speaks of the layers below, which stay hidden.
                        hides_below |= self.options.whiteouts == Whiteouts::Overlay
                            && found.is_some_and(|found| at::is_whiteout(&found));
                        self.clear(place, true)?;
                    }
                },
                Err(e) => return Err(place.fail("mkdir")(e.into())),
            }
        }
        let dir = at::open_dir(place.dir, place.name).map_err(place.fail("open"))?;
        if hides_below {
            self.make_opaque(dir.as_fd(), place)?;
        }
        Ok(dir)
    }

    /// A hard link to something that this archive made, or that is in the layers below.
    pub(super) fn new_link(&mut self, place: &Place<'_>, target: &[&[u8]]) -> Result<()> {
        let whole = path::join(target);
        if self.skipped.contains(&whole) {
            self.made.contents.skipped_devices += 1;
            self.skipped.insert(place.path.to_vec());
            return Ok(());
        }
        let fail = |source: io::Error| Error::Link {
            path: path::to_path(place.path),
            target: path::to_path(&whole),
            source,
        };
        let Some((name, above)) = target.split_last() else {
            return Err(fail(Errno::PERM.into()));
        };
        if whole == place.path {
            // GNU tar lets a link to itself stand, when the file is there.
            return match at::stat(place.dir, place.name).map_err(fail)? {
                Some(_) => Ok(()),
                None => Err(fail(Errno::NOENT.into())),
            };
        }
        if self.is_marked(above, name) {
            return Err(fail(Errno::NOENT.into()));
        }
        self.bring_up(target)?;
        let from = match above.is_empty() {
            true => at::open_dir(self.root, b"."),
            false => at::open_in_root(self.root, &path::join(above), OFlags::PATH | OFlags::DIRECTORY),
        }
        .map_err(fail)?;
        if at::stat(from.as_fd(), name).map_err(fail)?.is_some_and(|found| at::is_whiteout(&found)) {
            return Err(fail(Errno::NOENT.into()));
        }
        // Not followed: a link to a symbolic link is one to the link itself.
        let link = || fs::linkat(&from, *name, place.dir, place.name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {
                self.clear(place, false)?;
                link().map_err(|e| fail(e.into()))?;
            }
            other => other.map_err(|e| fail(e.into()))?,
        }
        self.remember_named(place)
    }

    /// Whether this archive removed it ([`Whiteouts::FuseOverlay`]).
    fn is_marked(&self, above: &[&[u8]], name: &[u8]) -> bool {
        let mark = whiteout::mark_name(name);
        let path = path::join(&[above, &[mark.as_slice()]].concat());
        self.options.whiteouts == Whiteouts::FuseOverlay
            && at::open_in_root(self.root, &path, OFlags::PATH | OFlags::NOFOLLOW).is_ok()
    }

    /// Tries once more after what is in the way was removed.
    fn retry_cleared<T>(
        &mut self,
        place: &Place<'_>,
        operation: &'static str,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(place, false)?;
                make()
            }
            other => other,
        }
        .map_err(|e| place.fail(operation)(e.into()))
    }

    /// Removes what a new entry replaces, unless a directory and something else would change places and the caller
    /// forbade that.
    fn clear(&mut self, place: &Place<'_>, for_directory: bool) -> Result<()> {
        let Some(found) = at::stat(place.dir, place.name).map_err(place.fail("stat"))? else { return Ok(()) };
        let directory = at::file_type(&found) == FileType::Directory;
        if !self.options.overwrite_kinds && directory != for_directory {
            return Err(Error::Overwrite {
                existing: path::to_path(place.path),
                directory,
                root: path::to_path(place.path),
            });
        }
        self.made.inodes.remove(&found.st_ino);
        self.parents.forget();
        at::remove_tree(place.dir, place.name).map_err(place.fail("remove"))
    }
}
