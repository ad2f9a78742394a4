//! Private, writable copies of /etc and /run that still show the host's entries.
//!
//! Each becomes a tmpfs of symbolic links into a bind mount of the original, kept at `.ro` inside it. The bind mount is
//! of the directory, so a file that the host replaces (`/etc/resolv.conf`) is seen in its new version; binding the file
//! itself would keep the old one, and an overmounted file cannot be replaced by the host at all. The name and the
//! technique are RootlessKit's (`--copy-up`).

use crate::{Error, Result};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use sys::mount::{Attributes, attach, clone_path, new_filesystem, open_path};

const ORIGINAL: &str = ".ro";

/// Replace `dir` by such a copy. The caller is root of new user and mount namespaces.
pub(crate) fn copy_up(dir: &Path) -> Result<()> {
    // Recursive: mounts below, /run/user/1001 say, are locked together in a less privileged namespace.
    let original = clone_path(dir, true)?;
    let tmpfs =
        new_filesystem("tmpfs", Some("lichen"), &["mode=755"], Attributes::NOSUID.and(Attributes::NODEV))?;
    attach(&tmpfs, open_path(dir)?)?;
    let kept = dir.join(ORIGINAL);
    fs::create_dir(&kept).map_err(Error::io("make", &kept))?;
    attach(&original, open_path(&kept)?)?;
    for entry in fs::read_dir(&kept).map_err(Error::io("list", &kept))? {
        let entry = entry.map_err(Error::io("list", &kept))?;
        link(dir, &entry.file_name())?;
    }
    Ok(())
}

fn link(dir: &Path, name: &OsStr) -> Result<()> {
    let kept = dir.join(ORIGINAL).join(name);
    // A relative link one level deeper would point elsewhere, so links are copied rather than linked to.
    let target = match fs::read_link(&kept) {
        Ok(target) => target,
        Err(_) => Path::new(ORIGINAL).join(name),
    };
    let path = dir.join(name);
    if name == OsStr::new(ORIGINAL) {
        // Nested: the outer engine's own.
        return Ok(());
    }
    symlink(target, &path).map_err(Error::io("link", path))
}
