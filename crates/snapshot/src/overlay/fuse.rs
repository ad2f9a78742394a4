//! Finding fuse-overlayfs(1).

use super::{Mounter, probe};
use crate::{Result, select::Unusable};
use rustix::fs::Access;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

const PROGRAM: &str = "fuse-overlayfs";

/// The first release that shows modes and owners as they are stored whatever the mount options; distributions have had
/// later ones since 2020.
const OLDEST: (u32, u32) = (1, 0);

/// Looks for the program on PATH and mounts with it below `root`.
///
/// # Errors
/// The outer one when the probe itself could not be set up or cleaned up.
pub fn find(root: &Path) -> Result<std::result::Result<Mounter, Unusable>> {
    let mounter = match program() {
        Ok(mounter) => mounter,
        Err(reason) => return Ok(Err(reason)),
    };
    Ok(probe(root, &mounter)?.map(|()| mounter))
}

/// The program, unless it is too old.
pub fn program() -> std::result::Result<Mounter, Unusable> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = on_path(&path).ok_or(Unusable::Missing { program: PROGRAM })?;
    if let Err(source) = sys::fuse_overlay::device_is_usable() {
        let hint =
            " (the fuse module must be loaded and users must be allowed to open the device: chmod 0666)";
        return Err(Unusable::Probe { operation: "open /dev/fuse", source, hint });
    }
    let version = sys::fuse_overlay::version(&program).unwrap_or_default();
    match numbers(&version) {
        Some(found) if found >= OLDEST => Ok(Mounter::Fuse { program, version }),
        _ => Err(Unusable::Old { program, version, oldest: OLDEST }),
    }
}

fn on_path(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(PROGRAM))
        .find(|file| rustix::fs::access(file, Access::EXEC_OK).is_ok())
}

/// `1.10`, `1.13-dev`
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_looked_for_where_path_says() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(PROGRAM);
        assert_eq!(on_path(dir.path().as_os_str()), None);
        std::fs::write(&file, "").unwrap();
        assert_eq!(on_path(dir.path().as_os_str()), None, "not executable");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(on_path(dir.path().as_os_str()), Some(file));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(numbers("1.10"), Some((1, 10)));
        assert_eq!(numbers("1.13-dev"), Some((1, 13)));
        assert!(numbers("1.10") > numbers("1.9") && numbers("0.7.6") < Some(OLDEST));
        assert_eq!((numbers(""), numbers("unknown")), (None, None));
    }
}
