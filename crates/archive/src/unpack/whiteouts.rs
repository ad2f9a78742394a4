//! Carrying out or translating whiteouts.

use super::extract::{Extractor, Place};
use crate::{
    Result, at, path,
    whiteout::{OPAQUE, OVERLAY_OPAQUE, PREFIX, Whiteouts},
};
use rustix::{
    fs::{self, FileType, Mode, XattrFlags},
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
        Whiteouts::Overlay => mark(extractor, &target),
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
        Whiteouts::Overlay => fs::fsetxattr(&open, OVERLAY_OPAQUE, b"y", XattrFlags::empty())
            .map_err(|e| place.fail("setxattr")(e.into())),
        Whiteouts::Apply => remove_older_in(extractor, open.as_fd(), place),
        Whiteouts::Literal => Ok(()),
    }
}

fn mark(extractor: &Extractor<'_>, target: &Place<'_>) -> Result<()> {
    match fs::mknodat(target.dir, target.name, FileType::CharacterDevice, Mode::empty(), 0) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(e) => return Err(target.fail("mknod")(e.into())),
    }
    // The same archive has something of that name: it stays, and only a directory would let what is below shine through.
    let found = at::stat(target.dir, target.name).map_err(target.fail("stat"))?;
    if found.is_some_and(|found| at::file_type(&found) == FileType::Directory) {
        debug_assert_eq!(extractor.options.whiteouts, Whiteouts::Overlay);
        let dir = at::open_dir(target.dir, target.name).map_err(target.fail("open"))?;
        fs::fsetxattr(&dir, OVERLAY_OPAQUE, b"y", XattrFlags::empty())
            .map_err(|e| target.fail("setxattr")(e.into()))?;
    }
    Ok(())
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
