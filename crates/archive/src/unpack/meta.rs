//! Owner, mode, extended attributes and times of what was made.

use super::{Options, Ownership, extract::Place};
use crate::{
    Error, Result, path,
    read::{Entry, Kind},
    whiteout::Whiteouts,
};
use rustix::{
    fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags},
    io::Errno,
};
use std::{io, os::fd::BorrowedFd};

/// Where fuse-overlayfs and containers/storage keep an owner that the file system cannot: `UID:GID:MODE`, the mode in
/// octal.
pub const OVERRIDE_STAT: &str = "user.containers.override_stat";

/// Names that a kernel overlay keeps for itself. Since Linux 6.7 it shows `user.overlay.overlay.X` of a layer as
/// `user.overlay.X`, so that an overlay can lie inside an overlay; a layer that could set the plain names would have
/// its own redirects and opaque marks believed.
const OVERLAY_NAMES: &[u8] = b"user.overlay.";
/// The prefix of fuse-overlayfs' own.
const FUSE_NAMES: &[u8] = b"user.fuseoverlayfs.";

pub fn own(file: BorrowedFd<'_>, entry: &Entry, place: &Place<'_>, ownership: Ownership) -> Result<()> {
    match ownership {
        Ownership::Recorded => record(file, entry, place),
        _ => {
            let (uid, gid) = owner(entry, place, ownership)?;
            fs::fchown(file, Some(uid), Some(gid)).map_err(|e| chown_error(entry, place, e))
        }
    }
}

pub fn own_named(entry: &Entry, place: &Place<'_>, ownership: Ownership) -> Result<()> {
    if ownership != Ownership::Recorded {
        let (uid, gid) = owner(entry, place, ownership)?;
        fs::chownat(place.dir, place.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| chown_error(entry, place, e))?;
    }
    match entry.kind {
        // A symbolic link has no mode of its own, and no file system of ours follows a fifo.
        Kind::Symlink => Ok(()),
        _ => fs::chmodat(place.dir, place.name, Mode::from(entry.mode), AtFlags::empty())
            .map_err(|e| place.fail("chmod")(e.into())),
    }
}

fn owner(entry: &Entry, place: &Place<'_>, ownership: Ownership) -> Result<(Uid, Gid)> {
    let (uid, gid) = match ownership {
        Ownership::Fixed(uid, gid) => (uid.0, gid.0),
        Ownership::Archive | Ownership::Recorded => (entry.uid, entry.gid),
    };
    // To chown(2), -1 is nobody's ID but the wish to leave the owner alone.
    if uid == u32::MAX || gid == u32::MAX {
        return Err(chown_error(entry, place, Errno::INVAL));
    }
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn chown_error(entry: &Entry, place: &Place<'_>, errno: Errno) -> Error {
    Error::Chown {
        path: std::path::Path::new("/").join(path::to_path(place.path)),
        uid: entry.uid,
        gid: entry.gid,
        source: errno.into(),
    }
}

fn record(file: BorrowedFd<'_>, entry: &Entry, place: &Place<'_>) -> Result<()> {
    if (entry.uid, entry.gid) == (0, 0) {
        return Ok(());
    }
    let value = format!("{}:{}:0{:o}", entry.uid, entry.gid, entry.mode);
    fs::fsetxattr(file, OVERRIDE_STAT, value.as_bytes(), XattrFlags::empty())
        .map_err(|e| place.fail("setxattr")(e.into()))
}

/// After the owner: chown(2) clears set-user-ID and set-group-ID.
pub fn chmod(file: BorrowedFd<'_>, entry: &Entry, place: &Place<'_>) -> Result<()> {
    fs::fchmod(file, Mode::from(entry.mode)).map_err(|e| place.fail("chmod")(e.into()))
}

/// After the owner and the data, both of which clear `security.capability`. That one is written as the archive has it:
/// the kernel makes the form that is bound to our user namespace out of it (cap_convert_nscap, Linux 4.14).
///
/// Tells how many attributes were refused. Docker goes on without them as well.
pub fn set_xattrs(
    file: BorrowedFd<'_>,
    entry: &Entry,
    place: &Place<'_>,
    options: &Options<'_>,
) -> Result<u64> {
    let mut skipped = 0;
    for (name, value) in &entry.xattrs {
        let name = match name.strip_prefix(OVERLAY_NAMES) {
            Some(rest) if options.whiteouts == Whiteouts::Overlay => {
                [OVERLAY_NAMES, b"overlay.", rest].concat()
            }
            // fuse-overlayfs(1) believes these as well and has no way to say that a container means them.
            Some(_) if options.whiteouts == Whiteouts::FuseOverlay => {
                skipped += 1;
                continue;
            }
            _ => name.clone(),
        };
        if options.whiteouts == Whiteouts::FuseOverlay && name.starts_with(FUSE_NAMES) {
            skipped += 1;
            continue;
        }
        if options.ownership == Ownership::Recorded && name == OVERRIDE_STAT.as_bytes() {
            skipped += 1;
            continue;
        }
        match fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::NOTSUP) => skipped += 1,
            Err(e) => return Err(place.fail("setxattr")(e.into())),
        }
    }
    Ok(skipped)
}

fn timestamps((seconds, nanos): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) as _ },
    }
}

pub fn set_times(file: BorrowedFd<'_>, mtime: (i64, u32)) -> io::Result<()> {
    Ok(fs::futimens(file, &timestamps(mtime))?)
}

pub fn set_times_named(place: &Place<'_>, mtime: (i64, u32)) -> io::Result<()> {
    Ok(fs::utimensat(place.dir, place.name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}
