//! Which call was taken last, for the supervisor that comes after one that was killed.
//!
//! A call that a supervisor has taken is nobody else's: the kernel waits for the answer of whoever holds the listener,
//! and a successor does not know that there is one to give. But the kernel numbers calls one after another; so the
//! number of the last one is kept in memory that the shim holds as well, and the successor answers those before it that
//! may still wait.

use rustix::fs::MemfdFlags;
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

#[derive(Debug)]
pub struct Notes(OwnedFd);

impl Notes {
    /// Notes of a listener that nothing has come from yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self(rustix::fs::memfd_create("bypass", MemfdFlags::CLOEXEC)?))
    }

    /// Notes that were kept.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(crate) fn write(&self, id: u64) -> io::Result<()> {
        match rustix::io::pwrite(&self.0, &id.to_ne_bytes(), 0)? {
            8 => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// None when nothing was taken.
    pub(crate) fn read(&self) -> io::Result<Option<u64>> {
        let mut id = [0; 8];
        let length = rustix::io::pread(&self.0, &mut id, 0)?;
        Ok((length == id.len()).then(|| u64::from_ne_bytes(id)))
    }
}

impl AsFd for Notes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_there_for_whoever_has_a_duplicate() {
        let notes = Notes::new().unwrap();
        let other = Notes::from_fd(notes.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(other.read().unwrap(), None);
        for id in [7, u64::MAX] {
            notes.write(id).unwrap();
            assert_eq!(other.read().unwrap(), Some(id));
        }
    }
}
