//! Subvolumes of btrfs: the directories that can be snapshotted.
//!
//! Making one needs no privilege, a snapshot only ownership of its source (fs/btrfs/ioctl.c, `btrfs_ioctl_snap_create`).
//! Destroying one needs the mount option `user_subvol_rm_allowed`; without it an emptied one goes by rmdir(2) since
//! Linux 4.18.

use crate::{Error, Result};
use nix::libc;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// `struct btrfs_ioctl_vol_args` (linux/btrfs.h).
#[repr(C)]
struct Arguments {
    source: i64,
    name: [u8; NAME],
}

/// `BTRFS_PATH_NAME_MAX` and the terminating zero.
const NAME: usize = 4088;

const MAGIC: u8 = 0x94;
nix::ioctl_write_ptr!(snap_create, MAGIC, 1, Arguments);
nix::ioctl_write_ptr!(subvol_create, MAGIC, 14, Arguments);
nix::ioctl_write_ptr!(snap_destroy, MAGIC, 15, Arguments);

/// Makes an empty subvolume `name` in `dir`.
///
/// # Errors
/// `ENOTTY` where the file system is no btrfs.
pub fn create(dir: impl AsFd, name: &[u8]) -> Result<()> {
    run("BTRFS_IOC_SUBVOL_CREATE", subvol_create, dir, name, 0)
}

/// Makes `name` in `dir` a writable snapshot of the subvolume whose root `source` is.
///
/// # Errors
/// `EPERM` when the source belongs to somebody else.
pub fn snapshot(source: impl AsFd, dir: impl AsFd, name: &[u8]) -> Result<()> {
    run("BTRFS_IOC_SNAP_CREATE", snap_create, dir, name, source.as_fd().as_raw_fd().into())
}

/// Removes the subvolume `name` in `dir` with all that is in it, other subvolumes excepted.
///
/// # Errors
/// `EPERM` without the mount option `user_subvol_rm_allowed`, `ENOTEMPTY` when it holds subvolumes, `EINVAL` when it is
/// none.
pub fn destroy(dir: impl AsFd, name: &[u8]) -> Result<()> {
    run("BTRFS_IOC_SNAP_DESTROY", snap_destroy, dir, name, 0)
}

/// Whether a directory's inode number is that of a subvolume's root (`BTRFS_FIRST_FREE_OBJECTID`), on btrfs.
pub fn is_subvolume_root(inode: u64) -> bool {
    inode == 256
}

fn run(
    call: &'static str,
    ioctl: unsafe fn(RawFd, *const Arguments) -> nix::Result<libc::c_int>,
    dir: impl AsFd,
    name: &[u8],
    source: i64,
) -> Result<()> {
    let describe = || String::from_utf8_lossy(name).into_owned();
    let mut arguments = Arguments { source, name: [0; NAME] };
    match arguments.name[..NAME - 1].get_mut(..name.len()) {
        Some(place) => place.copy_from_slice(name),
        None => return Err(Error::of(call, describe())(rustix::io::Errno::NAMETOOLONG)),
    }
    // SAFETY: the three ioctls read one `btrfs_ioctl_vol_args`, which outlives the call and ends in a zero byte.
    unsafe { ioctl(dir.as_fd().as_raw_fd(), &raw const arguments) }
        .map(drop)
        .map_err(|errno| Error::of(call, describe())(rustix::io::Errno::from_raw_os_error(errno as i32)))
}
