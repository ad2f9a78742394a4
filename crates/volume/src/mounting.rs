//! Mounting the file system that a volume's options name.
//!
//! The mount is made in the engine's own mount namespace, which the holder keeps, so that it outlives the engine and
//! every container that bind-mounts the volume sees it.

use crate::{Error, MountFailure, MountSpec, Result};
use rustix::{
    fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx},
    io::Errno,
    mount::{UnmountFlags, mount as mount2, unmount as umount2},
};
use std::{ffi::CString, io, path::Path};

pub(crate) fn mount(name: &str, spec: &MountSpec, path: &Path) -> Result<()> {
    let failed = |source| Error::Mount {
        name: name.to_owned(),
        device: spec.device.clone(),
        path: path.to_owned(),
        data: without_password(&spec.data),
        source,
    };
    let data = CString::new(spec.data.as_str()).map_err(|e| failed(MountFailure::Kernel(e.into())))?;
    let data = (!spec.data.is_empty()).then_some(data.as_c_str());
    mount2(spec.device.as_str(), path, spec.fs_type.as_str(), spec.flags, data).map_err(|errno| {
        failed(match errno {
            Errno::PERM => MountFailure::NeedsRoot { fs_type: spec.fs_type.clone() },
            errno => MountFailure::Kernel(errno.into()),
        })
    })
}

pub(crate) fn unmount(name: &str, path: &Path) -> Result<()> {
    match umount2(path, UnmountFlags::empty()) {
        // EINVAL: not a mount point (umount(2)).
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => {
            Err(Error::Unmount { name: name.to_owned(), path: path.to_owned(), source: errno.into() })
        }
    }
}

/// Whether something is mounted on `path` itself (`STATX_ATTR_MOUNT_ROOT`, Linux 5.8, statx(2)).
pub(crate) fn is_mounted(path: &Path) -> Result<bool> {
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)
        .map(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
        .map_err(|errno| Error::file("look at volume directory", path)(io::Error::from(errno)))
}

fn without_password(data: &str) -> String {
    let hide = |option: &str| {
        if option.starts_with("password=") { "password=********".into() } else { option.to_owned() }
    };
    data.split(',').map(hide).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_out_of_messages() {
        assert_eq!(without_password("user=a,password=secret,vers=3"), "user=a,password=********,vers=3");
    }
}
