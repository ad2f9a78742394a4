//! The descriptor-based mount interface (fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)).
//!
//! A mount is first made detached, given its attributes, and only then attached to a directory that was resolved to a
//! descriptor: nobody can slip a symbolic link in between, and nobody sees it half-configured.

use crate::{
    Error, Result,
    clone::{self, Fork},
    namespaces::{self, Kind},
};
use nix::libc;
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags},
};
use std::{
    ffi::CString,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

/// Attributes of one mount (`MOUNT_ATTR_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(u64);

impl Attributes {
    pub const NONE: Self = Self(0);
    pub const RDONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    pub const NOSUID: Self = Self(libc::MOUNT_ATTR_NOSUID);
    pub const NODEV: Self = Self(libc::MOUNT_ATTR_NODEV);
    pub const NOEXEC: Self = Self(libc::MOUNT_ATTR_NOEXEC);
    pub const NOATIME: Self = Self(libc::MOUNT_ATTR_NOATIME);
    pub const STRICTATIME: Self = Self(libc::MOUNT_ATTR_STRICTATIME);
    pub const NODIRATIME: Self = Self(libc::MOUNT_ATTR_NODIRATIME);
    pub const NOSYMFOLLOW: Self = Self(libc::MOUNT_ATTR_NOSYMFOLLOW);
    /// Not an attribute of its own (its value is zero): the choice between the access time modes.
    pub const ATIME_MASK: Self = Self(libc::MOUNT_ATTR__ATIME);

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What statvfs(3) says of an existing mount; in a user namespace these are locked and must be kept.
    pub fn of_mount(fd: impl AsFd) -> Result<Self> {
        use rustix::fs::StatVfsMountFlags as F;
        let flags = rustix::fs::fstatvfs(fd).map_err(Error::of("fstatvfs", "mount"))?.f_flag;
        let pairs = [
            (F::RDONLY, Self::RDONLY),
            (F::NOSUID, Self::NOSUID),
            (F::NODEV, Self::NODEV),
            (F::NOEXEC, Self::NOEXEC),
            (F::NOATIME, Self::NOATIME),
            (F::NODIRATIME, Self::NODIRATIME),
        ];
        Ok(pairs.iter().filter(|(f, _)| flags.contains(*f)).fold(Self::NONE, |all, (_, a)| all.and(*a)))
    }
}

/// How mounts below one propagate (mount_namespaces(7), "Shared subtrees").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Slave,
    Shared,
    Unbindable,
}

impl Propagation {
    const fn bits(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// Makes a new, detached mount of file system type `kind`.
///
/// `options` are `key` or `key=value`, as mount(8) takes them after `-o`; `source` is what /proc/mounts shows.
pub fn new_filesystem(
    kind: &str,
    source: Option<&str>,
    options: &[&str],
    attributes: Attributes,
) -> Result<OwnedFd> {
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(Error::of("fsopen", kind))?;
    if let Some(source) = source {
        set_option(&fs, kind, "source", Some(source))?;
    }
    for option in options {
        match option.split_once('=') {
            Some((key, value)) => set_option(&fs, kind, key, Some(value))?,
            None => set_option(&fs, kind, option, None)?,
        }
    }
    create(&fs, kind, attributes)
}

/// Sets one option of a file system context made by fsopen(2).
pub(crate) fn set_option(fs: &OwnedFd, kind: &str, key: &str, value: Option<&str>) -> Result<()> {
    let result = match value {
        Some(value) => rustix::mount::fsconfig_set_string(fs, key, value),
        None => rustix::mount::fsconfig_set_flag(fs, key),
    };
    let text = || value.map_or_else(|| key.to_owned(), |v| format!("{key}={v}"));
    result.map_err(|errno| with_log(fs, "fsconfig", format!("{kind}, {}", text()), errno))
}

/// Creates the superblock of a configured context, and a detached mount of it.
pub(crate) fn create(fs: &OwnedFd, kind: &str, attributes: Attributes) -> Result<OwnedFd> {
    rustix::mount::fsconfig_create(fs)
        .map_err(|errno| with_log(fs, "fsconfig", format!("{kind}, create"), errno))?;
    let attributes = MountAttrFlags::from_bits_retain(attributes.0 as u32);
    rustix::mount::fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| with_log(fs, "fsmount", kind.to_owned(), errno))
}

/// Reading a context returns the messages that the file system left there (`fs/fs_context.c`, `logfc`).
fn with_log(fs: &OwnedFd, call: &'static str, args: String, errno: Errno) -> Error {
    let mut buffer = [0u8; 512];
    match rustix::io::read(fs, &mut buffer[..]) {
        Ok(n) if n > 2 => {
            let message = String::from_utf8_lossy(&buffer[2..n]).trim_end().to_owned();
            Error { call, args: format!("{args}; kernel says: {message}"), errno }
        }
        _ => Error { call, args, errno },
    }
}

/// A detached copy of the mount at `path`, with what is mounted below it when `recursive`.
pub fn clone_path(path: &Path, recursive: bool) -> Result<OwnedFd> {
    rustix::mount::open_tree(CWD, path, clone_flags(recursive))
        .map_err(Error::of("open_tree", path.to_string_lossy()))
}

/// The same of a mount of another mount namespace, where `path` is looked up; the kernel clones only what is in the
/// caller's own (open_tree(2), EINVAL). A child goes there for it, so the caller must be single-threaded. Whoever lives
/// there decides what is at `path`, but only below its own root.
pub fn clone_from(namespace: impl AsFd, path: &Path, recursive: bool) -> Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()
        .map_err(|e| Error::of("socketpair", "")(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    match clone::fork()? {
        Fork::Child { .. } => {
            let cloned = namespaces::join(namespace, Kind::Mount).and_then(|()| clone_path(path, recursive));
            let sent = match &cloned {
                Ok(mount) => crate::fds::send_with_fds(&theirs, &0i32.to_ne_bytes(), &[mount.as_fd()]),
                Err(e) => crate::fds::send_with_fds(&theirs, &e.errno.raw_os_error().to_ne_bytes(), &[]),
            };
            crate::process::exit(i32::from(sent.is_err()))
        }
        Fork::Parent(child) => {
            drop(theirs);
            let mut code = [0u8; 4];
            let received = crate::fds::recv_with_fds(&ours, &mut code);
            crate::pidfd::wait(&child.pidfd)?;
            let (length, mut fds) = received?;
            let errno = match (length, i32::from_ne_bytes(code)) {
                (4, 0) => Errno::BADF,
                (4, code) => Errno::from_raw_os_error(code),
                _ => Errno::CHILD,
            };
            let describe = || format!("{}, in another mount namespace", path.display());
            fds.pop().ok_or(errno).map_err(Error::of("open_tree", describe()))
        }
    }
}

/// The same of what is behind a descriptor (O_PATH will do).
pub fn clone_fd(fd: impl AsFd, recursive: bool) -> Result<OwnedFd> {
    rustix::mount::open_tree(fd, "", clone_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH)
        .map_err(Error::of("open_tree", "descriptor"))
}

fn clone_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// Attaches a detached mount on the file or directory behind `target`.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags).map_err(Error::of("move_mount", "descriptors"))
}

/// Changes attributes of a mount, and of those below it when `recursive` (mount_setattr(2), Linux 5.12).
///
/// On older kernels a non-recursive change of an *attached* mount is done with a remount through /proc/self/fd; a
/// recursive one fails with ENOSYS rather than leave part of the tree as it was.
pub fn set_attributes(mount: impl AsFd, set: Attributes, clear: Attributes, recursive: bool) -> Result<()> {
    let args = format!("set {:#x}, clear {:#x}, recursive {recursive}", set.0, clear.0);
    setattr(mount.as_fd(), set.0, clear.0, 0, recursive).map_err(Error::of("mount_setattr", args))
}

/// Changes how the mount, and those below it when `recursive`, propagate.
pub fn set_propagation(mount: impl AsFd, propagation: Propagation, recursive: bool) -> Result<()> {
    let args = format!("{propagation:?}, recursive {recursive}");
    setattr(mount.as_fd(), 0, 0, propagation.bits(), recursive).map_err(Error::of("mount_setattr", args))
}

fn setattr(mount: impl AsFd, set: u64, clear: u64, propagation: u64, recursive: bool) -> Result<(), Errno> {
    let attr = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let (fd, size) = (mount.as_fd().as_raw_fd(), size_of::<libc::mount_attr>());
    // SAFETY: `attr` is plain old data of the stated size and outlives the call; the path is an empty C string.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, &raw const attr, size) };
    if result < 0 { Err(Error::last("mount_setattr", "").errno) } else { Ok(()) }
}

/// Lazily detaches whatever is mounted at `path`.
pub fn detach(path: &Path) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .map_err(Error::of("umount2", format!("{}, MNT_DETACH", path.display())))
}

/// mount(2), for what the descriptor-based interface cannot do on older kernels.
pub(crate) fn mount_old(
    kind: &str,
    target: &Path,
    flags: rustix::mount::MountFlags,
    data: &str,
) -> Result<()> {
    let describe = || format!("{kind}, {}", target.display());
    let data = CString::new(data).map_err(|_| Error::of("mount", describe())(Errno::INVAL))?;
    rustix::mount::mount(kind, target, kind, flags, Some(data.as_c_str()))
        .map_err(Error::of("mount", describe()))
}

/// Opens a directory or file as a mere location.
pub fn open_path(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::of("open", path.to_string_lossy()))
}
