//! Whether overlays work on a directory: one is mounted and used.

use super::{EMPTY, Mounter};
use crate::{Error, Result, fs_type, select::Unusable};
use archive::{at, whiteout};
use model::Id;
use rustix::{
    fs::{self, CWD, Dir, FileType, Mode, OFlags, XattrFlags},
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Mounts an overlay below `root`, which exists, and does with it what containers and layers need.
///
/// # Errors
/// The outer one when the probe itself could not be set up or cleaned up; the inner one says why overlays do not work.
pub fn probe(root: &Path, mounter: &Mounter) -> Result<std::result::Result<(), Unusable>> {
    let name = format!(".probe-{}", Id::random().short());
    let path = root.join(&name);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::openat(CWD, root, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(Error::file("open", root))?;
    fs::mkdirat(&root, &name, Mode::from(0o700))
        .map_err(io::Error::from)
        .map_err(Error::file("mkdir", &path))?;
    let outcome = at::open_dir(root.as_fd(), name.as_bytes())
        .map_err(Error::file("open", &path))
        .map(|dir| try_overlay(&dir, &path, mounter));
    at::remove_tree(root.as_fd(), name.as_bytes()).map_err(Error::file("remove", &path))?;
    outcome
}

fn failed<E: Into<io::Error>>(operation: &'static str, hint: &'static str) -> impl FnOnce(E) -> Unusable {
    move |source| Unusable::Probe { operation, source: source.into(), hint }
}

fn try_overlay(dir: &OwnedFd, path: &Path, mounter: &Mounter) -> std::result::Result<(), Unusable> {
    let nested = fs_type::of(dir.as_fd()).map(|t| t.docker_name()).is_ok_and(|name| name == "overlayfs");
    let hint = |usual| match (mounter, nested) {
        (Mounter::Fuse { .. }, _) => "",
        (Mounter::Kernel, true) => {
            " (an overlay cannot be the upper layer of another: keep the data root on a volume)"
        }
        (Mounter::Kernel, false) => usual,
    };
    let whiteouts = hint(" (Linux 5.8 or later and a file system with whiteouts are needed)");
    prepare(dir, mounter).map_err(failed("make a whiteout", whiteouts))?;
    entry_types_are_told(dir)?;
    let attributes = " (the file system has no extended user attributes)";
    let mark = mounter.whiteouts().opaque_mark().unwrap_or(whiteout::OVERLAY_OPAQUE);
    fs::fsetxattr(open(dir, "upper/opaque")?, mark, b"y", XattrFlags::empty())
        .map_err(failed("mark a directory as opaque", hint(attributes)))?;
    let lower = vec![path.join("lower"), path.join(EMPTY)];
    let plan = mounter.plan(lower, Some((path.join("upper"), path.join("work")))).volatile();
    let mounting = hint(" (Linux 5.11 or later is needed to mount overlays in a user namespace)");
    let mount = sys::overlay::mount_detached(&plan).map_err(failed("mount an overlay", mounting))?;
    behaves(&mount).map_err(failed("use an overlay", ""))
}

fn prepare(dir: &OwnedFd, mounter: &Mounter) -> io::Result<()> {
    for name in ["lower", "lower/opaque", EMPTY, "upper", "upper/opaque", "work"] {
        fs::mkdirat(dir, name, Mode::from(0o700))?;
    }
    for name in ["lower/removed", "lower/opaque/hidden", "lower/kept"] {
        fs::mknodat(dir, name, FileType::RegularFile, Mode::from(0o600), 0)?;
    }
    let (whiteout, kind) = match mounter {
        Mounter::Kernel => ("upper/removed", FileType::CharacterDevice),
        Mounter::Fuse { .. } => ("upper/.wh.removed", FileType::RegularFile),
    };
    Ok(fs::mknodat(dir, whiteout, kind, Mode::empty(), 0)?)
}

/// Overlays need directory entries that tell their type (xfs made with ftype=0 does not).
fn entry_types_are_told(dir: &OwnedFd) -> std::result::Result<(), Unusable> {
    let hint = " (format xfs with -n ftype=1)";
    for entry in Dir::read_from(dir).map_err(failed("read a directory", ""))? {
        let entry = entry.map_err(failed("read a directory", ""))?;
        if entry.file_type() == FileType::Unknown {
            return Err(failed("read directory entry types", hint)(Errno::NOTSUP));
        }
    }
    Ok(())
}

fn open(dir: &OwnedFd, name: &str) -> std::result::Result<OwnedFd, Unusable> {
    fs::openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed("open", ""))
}

/// Marks hide, and files are removed and copied up.
fn behaves(mount: &OwnedFd) -> io::Result<()> {
    for hidden in ["removed", "opaque/hidden"] {
        if at::stat(mount.as_fd(), hidden.as_bytes())?.is_some() {
            return Err(io::Error::other(format!("{hidden} shines through")));
        }
    }
    let kept = fs::openat(mount, "kept", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&kept, b"copied up")?;
    fs::unlinkat(mount, "kept", fs::AtFlags::empty())?;
    Ok(())
}
