//! Socket options beyond what rustix and nix have: read and written as bytes, and filters that stay.

use crate::{Error, Result};
use nix::libc;
use rustix::io::Errno;
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
    set_raw(socket, name, value.bytes().as_ptr().cast(), value.length)
}

fn set_raw(socket: impl AsFd, name: Name, value: *const libc::c_void, length: usize) -> Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `value` points to `length` bytes, as both callers see to, which the kernel only reads.
    if unsafe { libc::setsockopt(fd, name.level, name.name, value, length as libc::socklen_t) } < 0 {
        return Err(Error::last("setsockopt", format!("{name:?}")));
    }
    Ok(())
}

/// An instruction of classic BPF (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// Has `filter` decide what the socket receives, for as long as the socket exists: it can be neither removed nor
/// replaced afterwards, by whomever (`SO_ATTACH_FILTER`, and `SO_LOCK_FILTER` since Linux 3.9; socket(7)).
pub fn filter_for_good(socket: impl AsFd, filter: &[Instruction]) -> Result<()> {
    let convert = |i: &Instruction| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    let filter: Vec<libc::sock_filter> = filter.iter().map(convert).collect();
    let Ok(len) = u16::try_from(filter.len()) else {
        return Err(Error::of("setsockopt", "SO_ATTACH_FILTER")(Errno::TOOBIG));
    };
    // The kernel copies the instructions during the call.
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    let attach = Name { level: libc::SOL_SOCKET, name: libc::SO_ATTACH_FILTER };
    set_raw(&socket, attach, (&raw const program).cast(), size_of_val(&program))?;
    set(socket, Name { level: libc::SOL_SOCKET, name: libc::SO_LOCK_FILTER }, &Value::of(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_filter_for_good_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let all = [Instruction { code: 0x06, jt: 0, jf: 0, k: u32::MAX }];
        filter_for_good(&listener, &all).unwrap();
        let detach = Name { level: libc::SOL_SOCKET, name: libc::SO_DETACH_FILTER };
        assert_eq!(set(&listener, detach, &Value::of(0)).unwrap_err().errno, Errno::PERM);
        assert_eq!(filter_for_good(&listener, &all).unwrap_err().errno, Errno::PERM);
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    }

    #[test]
    fn options_are_read_as_they_were_written() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let keepalive = Name { level: libc::SOL_SOCKET, name: libc::SO_KEEPALIVE };
        assert_eq!(get(&listener, keepalive).unwrap().number(), Some(0));
        set(&listener, keepalive, &Value::of(1)).unwrap();
        assert_eq!(get(&listener, keepalive).unwrap().number(), Some(1));
    }
}
