//! Programs run from sealed memory.
//!
//! A process that enters a container runs from a copy of its program that nobody can write to, so that a hostile
//! container reopening `/proc/PID/exe` overwrites nothing (CVE-2019-5736).

use crate::{Error, Result};
use rustix::{
    fs::{MemfdFlags, Mode, OFlags, SealFlags},
    io::Errno,
};
use std::os::fd::{AsFd, OwnedFd};

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// A sealed, executable copy of the file behind `program`.
pub fn sealed_copy(name: &str, program: impl AsFd) -> Result<OwnedFd> {
    let memfd = create(name)?;
    let mut offset = 0;
    while rustix::fs::sendfile(&memfd, &program, Some(&mut offset), 1 << 30)
        .map_err(Error::of("sendfile", name))?
        > 0
    {}
    seal(&memfd, name)?;
    Ok(memfd)
}

/// A sealed memory file with these contents.
pub fn sealed_bytes(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let memfd = create(name)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&memfd, rest).map_err(Error::of("write", name))?;
        rest = &rest[written..];
    }
    seal(&memfd, name)?;
    Ok(memfd)
}

/// A sealed copy of the program the caller runs from, or a second descriptor of it when that is sealed already.
pub fn sealed_self(name: &str) -> Result<OwnedFd> {
    let exe = "/proc/self/exe";
    let own = rustix::fs::open(exe, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::of("open", exe))?;
    if is_sealed(&own) { Ok(own) } else { sealed_copy(name, own) }
}

/// Whether the file behind `fd` can no longer change.
pub fn is_sealed(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SEALS))
}

/// Linux 6.3 wants to be told that the file is to be executed (`MFD_EXEC`); earlier kernels do not know the flag.
fn create(name: &str) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        other => other,
    }
    .map_err(Error::of("memfd_create", name))
}

/// A page that something else in the kernel refers to (reclaim, migration) makes EBUSY of it, after the kernel has waited
/// for a tenth of a second itself (`memfd_wait_for_pins`, mm/memfd.c): such references end.
fn seal(memfd: &OwnedFd, name: &str) -> Result<()> {
    let mut tries = 50;
    loop {
        match rustix::fs::fcntl_add_seals(memfd, SEALS) {
            Err(Errno::BUSY) if tries > 0 => tries -= 1,
            sealed => return sealed.map_err(Error::of("fcntl", format!("{name}, F_ADD_SEALS"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_refuses_to_change() {
        let memfd = sealed_bytes("test", b"contents").unwrap();
        assert!(is_sealed(&memfd));
        assert_eq!(rustix::io::pwrite(&memfd, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&memfd, 0), Err(Errno::PERM));
    }

    #[test]
    fn own_program_is_copied_whole() {
        let copy = sealed_self("self").unwrap();
        let (copied, own) = (rustix::fs::fstat(&copy).unwrap(), rustix::fs::stat("/proc/self/exe").unwrap());
        assert_eq!(copied.st_size, own.st_size);
    }
}
