//! Namespaces by kind, by descriptor and by identity (namespaces(7)).

use crate::{Error, Result};
use nix::libc;
use rustix::{
    fs::{Mode, OFlags},
    thread::{LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags},
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The kinds of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    User,
    Mount,
    Pid,
    Ipc,
    Uts,
    Net,
    Cgroup,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::User, Self::Mount, Self::Pid, Self::Ipc, Self::Uts, Self::Net, Self::Cgroup];

    /// The file name below `/proc/PID/ns`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Net => "net",
            Self::Cgroup => "cgroup",
        }
    }

    const fn bits(self) -> u32 {
        (match self {
            Self::User => libc::CLONE_NEWUSER,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Pid => libc::CLONE_NEWPID,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Net => libc::CLONE_NEWNET,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
        }) as u32
    }

    const fn link(self) -> LinkNameSpaceType {
        match self {
            Self::User => LinkNameSpaceType::User,
            Self::Mount => LinkNameSpaceType::Mount,
            Self::Pid => LinkNameSpaceType::ProcessID,
            Self::Ipc => LinkNameSpaceType::InterProcessCommunication,
            Self::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
            Self::Net => LinkNameSpaceType::Network,
            Self::Cgroup => LinkNameSpaceType::ControlGroup,
        }
    }
}

/// A set of kinds, as `CLONE_NEW*` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set(u32);

impl Set {
    pub const EMPTY: Self = Self(0);

    pub const fn of(kinds: &[Kind]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < kinds.len() {
            bits |= kinds[i].bits();
            i += 1;
        }
        Self(bits)
    }

    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | kind.bits())
    }

    #[must_use]
    pub const fn without(self, kind: Kind) -> Self {
        Self(self.0 & !kind.bits())
    }

    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bits() != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// Moves the calling thread into new namespaces. New user namespaces need a single-threaded process; a new PID
/// namespace is that of the next child.
pub fn unshare(set: Set) -> Result<()> {
    // SAFETY: only CLONE_NEW* bits can be in the set; none of them is CLONE_FILES, the flag this function is unsafe for.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::from_bits_retain(set.0)) }
        .map_err(Error::of("unshare", format!("{set:?}")))
}

/// Joins one namespace. A PID namespace becomes that of the next child.
pub fn join(namespace: impl AsFd, kind: Kind) -> Result<()> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind.link()))
        .map_err(Error::of("setns", kind.file()))
}

/// Joins several of a process's namespaces at once, all or none (setns(2) with a pidfd, Linux 5.8).
pub fn join_process(pidfd: impl AsFd, set: Set) -> Result<()> {
    rustix::thread::move_into_thread_name_spaces(pidfd.as_fd(), ThreadNameSpaceType::from_bits_retain(set.0))
        .map_err(Error::of("setns", format!("pidfd, {set:?}")))
}

/// Opens a namespace of the calling process.
pub fn open_own(kind: Kind) -> Result<OwnedFd> {
    open(&format!("/proc/self/ns/{}", kind.file()))
}

/// Opens a namespace of process `pid`; check afterwards (by its pidfd) that it is still the process that was meant.
pub fn open_of(pid: u32, kind: Kind) -> Result<OwnedFd> {
    open(&format!("/proc/{pid}/ns/{}", kind.file()))
}

/// Opens a namespace by path: one of the above or a file it is bound to.
pub fn open(path: &str) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
        .map_err(Error::of("open", path))
}

/// What identifies a namespace: device and inode of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
}

/// The identity of an open namespace.
pub fn identity(namespace: BorrowedFd<'_>) -> Result<Identity> {
    let stat = rustix::fs::fstat(namespace).map_err(Error::of("fstat", "namespace"))?;
    Ok(Identity { device: stat.st_dev as u64, inode: stat.st_ino })
}

/// The identity of a namespace of a process; `None` means the caller itself.
pub fn identity_of(pid: Option<u32>, kind: Kind) -> Result<Identity> {
    let owner = pid.map_or_else(|| "self".to_owned(), |p| p.to_string());
    let path = format!("/proc/{owner}/ns/{}", kind.file());
    let stat = rustix::fs::stat(&path).map_err(Error::of("stat", path))?;
    Ok(Identity { device: stat.st_dev as u64, inode: stat.st_ino })
}

/// The kinds in which process `pid` lives in another namespace than the caller.
pub fn differing(pid: u32) -> Result<Set> {
    let mut set = Set::EMPTY;
    for kind in Kind::ALL {
        if identity_of(Some(pid), kind)? != identity_of(None, kind)? {
            set = set.with(kind);
        }
    }
    Ok(set)
}
