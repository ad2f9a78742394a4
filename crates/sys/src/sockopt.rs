//! Socket options beyond what rustix and nix have, read and written as bytes.

use crate::{Error, Result};
use nix::libc;
use std::os::fd::{AsFd, AsRawFd};

/// Longer than any option that is a number or a few.
const LONGEST: usize = 64;

/// An option by its level and name (`SOL_SOCKET`, `SO_KEEPALIVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    pub level: i32,
    pub name: i32,
}

/// An option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Value {
    pub fn of(number: i32) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        Self { bytes, length: 4 }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// As the integer that most options are.
    pub fn number(&self) -> Option<i32> {
        self.bytes().try_into().ok().map(i32::from_ne_bytes)
    }
}

/// Reads an option (getsockopt(2)).
pub fn get(socket: impl AsFd, name: Name) -> Result<Value> {
    let mut value = Value { bytes: [0; LONGEST], length: LONGEST };
    let mut length = LONGEST as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the buffer and says how many; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            name.level,
            name.name,
            value.bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(Error::last("getsockopt", format!("{name:?}")));
    }
    value.length = (length as usize).min(LONGEST);
    Ok(value)
}

/// Writes an option (setsockopt(2)).
pub fn set(socket: impl AsFd, name: Name, value: &Value) -> Result<()> {
    let (fd, bytes) = (socket.as_fd().as_raw_fd(), value.bytes());
    let length = bytes.len() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes, which outlive the call.
    if unsafe { libc::setsockopt(fd, name.level, name.name, bytes.as_ptr().cast(), length) } < 0 {
        return Err(Error::last("setsockopt", format!("{name:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn options_are_read_as_they_were_written() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let keepalive = Name { level: libc::SOL_SOCKET, name: libc::SO_KEEPALIVE };
        assert_eq!(get(&listener, keepalive).unwrap().number(), Some(0));
        set(&listener, keepalive, &Value::of(1)).unwrap();
        assert_eq!(get(&listener, keepalive).unwrap().number(), Some(1));
    }
}
