//! Carrying out or translating whiteouts.

use super::extract::{Extractor, Place};
use crate::{
    Result, at, path,
    whiteout::{self, OPAQUE, PREFIX, Whiteouts},
};
use rustix::{
    fs::{self, FileType, Mode, OFlags, XattrFlags},
    io::Errno,
};
use std::os::fd::{AsFd, BorrowedFd};

/// Does what the whiteout at `place` asks for; false when it names nothing.
pub fn carry_out(extractor: &mut Extractor<'_>, place: &Place<'_>, above: &[&[u8]]) -> Result<bool> {
    if place.name == OPAQUE {
        let dir = Place { dir: place.dir, name: b".", path: &path::join(above) };
        opaque(extractor, place.dir, &dir)?;
        return Ok(true);
    }
    let name = &place.name[PREFIX.len()..];
    if name.starts_with(PREFIX) {
        return Ok(true); // AUFS kept its own files under such names.
    }
    if matches!(name, b"" | b"." | b"..") {
        return Ok(false);
    }
    let target = Place { dir: place.dir, name, path: place.path };
    match extractor.options.whiteouts {
        Whiteouts::Overlay | Whiteouts::FuseOverlay => mark(extractor, &target),
        Whiteouts::Apply => remove_older(extractor, &target),
        Whiteouts::Literal => Ok(()),
    }
    .map(|()| true)
}

/// Hides everything that the layers below have in the directory.
fn opaque(extractor: &mut Extractor<'_>, dir: BorrowedFd<'_>, place: &Place<'_>) -> Result<()> {
    // A parent is held by O_PATH, which neither lists nor has attributes.
    let open = at::open_dir(dir, b".").map_err(place.fail("open"))?;
    match extractor.options.whiteouts {
        Whiteouts::Overlay | Whiteouts::FuseOverlay => extractor.make_opaque(open.as_fd(), place),
        Whiteouts::Apply => remove_older_in(extractor, open.as_fd(), place),
        Whiteouts::Literal => Ok(()),
    }
}

fn mark(extractor: &Extractor<'_>, target: &Place<'_>) -> Result<()> {
    let marked = match extractor.options.whiteouts {
        Whiteouts::FuseOverlay => mark_by_file(target)?,
        _ => match fs::mknodat(target.dir, target.name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(target.fail("mknod")(e.into())),
        },
    };
    if marked {
        return Ok(());
    }
    // The same archive has something of that name: it stays, and only a directory would let what is below shine through.
    let found = at::stat(target.dir, target.name).map_err(target.fail("stat"))?;
    if found.is_some_and(|found| at::file_type(&found) == FileType::Directory) {
        let dir = at::open_dir(target.dir, target.name).map_err(target.fail("open"))?;
        extractor.make_opaque(dir.as_fd(), target)?;
    }
    Ok(())
}

/// False when the archive has something of that name. A file of the name beside its mark would be hidden by it, so a
/// mark is taken back when the archive brings one ([`Extractor::unmark`]).
fn mark_by_file(target: &Place<'_>) -> Result<bool> {
    if at::stat(target.dir, target.name).map_err(target.fail("stat"))?.is_some() {
        return Ok(false);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(target.dir, whiteout::mark_name(target.name), flags, Mode::from(0o600))
        .map_err(|e| target.fail("open")(e.into()))?;
    Ok(true)
}

impl Extractor<'_> {
    pub(super) fn make_opaque(&self, dir: BorrowedFd<'_>, place: &Place<'_>) -> Result<()> {
        let Some(mark) = self.options.whiteouts.opaque_mark() else { return Ok(()) };
        fs::fsetxattr(dir, mark, b"y", XattrFlags::empty()).map_err(|e| place.fail("setxattr")(e.into()))
    }

    /// Takes back the file by which this archive removed what it now brings anew; tells whether there was one.
    pub(super) fn unmark(&self, place: &Place<'_>) -> Result<bool> {
        if self.options.whiteouts != Whiteouts::FuseOverlay {
            return Ok(false);
        }
        whiteout::take_back(place.dir, place.name).map_err(place.fail("remove"))
    }
}

/// Removes `target` but for what this archive made.
fn remove_older(extractor: &mut Extractor<'_>, target: &Place<'_>) -> Result<()> {
    let Some(found) = at::stat(target.dir, target.name).map_err(target.fail("stat"))? else { return Ok(()) };
    if !extractor.made.inodes.contains(&found.st_ino) {
        extractor.parents.forget();
        return at::remove_tree(target.dir, target.name).map_err(target.fail("remove"));
    }
    if at::file_type(&found) == FileType::Directory {
        let dir = at::open_dir(target.dir, target.name).map_err(target.fail("open"))?;
        remove_older_in(extractor, dir.as_fd(), target)?;
    }
    Ok(())
}

fn remove_older_in(extractor: &mut Extractor<'_>, dir: BorrowedFd<'_>, place: &Place<'_>) -> Result<()> {
    for name in at::names(dir).map_err(place.fail("read"))? {
        remove_older(extractor, &Place { dir, name: name.to_bytes(), path: place.path })?;
    }
    Ok(())
}
