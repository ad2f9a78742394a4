//! The thread that waits: its memory and its descriptors.
//!
//! A number means a thread only as long as it waits: whoever asks here asks afterwards whether it still does
//! (`sys::notify::is_waiting`).

use crate::{
    address,
    verdict::{Facts, Place},
};
use nix::{
    libc,
    sys::uio::{RemoteIoVec, process_vm_readv},
};
use rustix::{
    fs::OFlags,
    io::Errno,
    net::{AddressFamily, SocketType, ipproto, sockopt as options},
    process::{Pid, PidfdFlags},
};
use std::{
    fs,
    io::{self, IoSliceMut},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
};
use sys::sockopt::Name;

/// `PIDFD_THREAD` (Linux 6.9): any thread, not only the first of a process.
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());

/// `TCP_CLOSE` (`<net/tcp_states.h>`), the first byte of `struct tcp_info`.
const CLOSED: u8 = 7;

/// Copies the address that a connect(2) points to. None for what is not one of the internet, or cannot be read: the
/// kernel says which.
pub(crate) fn address(thread: u32, pointer: u64, length: u64) -> Option<SocketAddr> {
    // The length is an int.
    let length = usize::try_from(length.cast_signed() as i32).ok()?.min(address::LONGEST);
    let mut bytes = [0; address::LONGEST];
    let remote = [RemoteIoVec { base: usize::try_from(pointer).ok()?, len: length }];
    let pid = nix::unistd::Pid::from_raw(i32::try_from(thread).ok()?);
    let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut bytes[..length])], &remote).ok()?;
    address::parse(&bytes[..read])
}

/// Duplicates a descriptor of the thread's.
pub(crate) fn descriptor(thread: u32, number: RawFd) -> io::Result<OwnedFd> {
    let pid = |number: u32| i32::try_from(number).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH);
    let pidfd = match rustix::process::pidfd_open(pid(thread)?, THREAD) {
        // An older kernel. Threads of a process share descriptors, unless they took pains not to.
        Err(Errno::INVAL | Errno::NOENT) => {
            rustix::process::pidfd_open(pid(process(thread)?)?, PidfdFlags::empty())?
        }
        other => other?,
    };
    Ok(sys::pidfd::take_fd(&pidfd, number)?)
}

/// The process that a thread is of (proc_pid_status(5)).
fn process(thread: u32) -> io::Result<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status"))?;
    let tgid = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    tgid.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether a descriptor of the thread's is closed by execve(2). (A duplicate has a flag of its own.)
pub(crate) fn closes_on_exec(thread: u32, number: RawFd) -> io::Result<bool> {
    let info = fs::read_to_string(format!("/proc/{thread}/fdinfo/{number}"))?;
    let flags =
        info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.map(|flags| flags & OFlags::CLOEXEC.bits() != 0).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What the descriptor stands for. `container` is the inode number of the container's network namespace, `own` that of
/// ours.
pub(crate) fn facts(socket: BorrowedFd<'_>, container: u64, own: u64) -> Facts {
    let is = |domain| options::socket_domain(socket) == Ok(domain);
    let tcp = (is(AddressFamily::INET) || is(AddressFamily::INET6))
        && options::socket_type(socket) == Ok(SocketType::STREAM)
        && options::socket_protocol(socket) == Ok(Some(ipproto::TCP));
    if !tcp {
        return Facts { tcp, place: Place::Elsewhere, closed: false, bound: true };
    }
    let state = Name { level: libc::IPPROTO_TCP, name: libc::TCP_INFO };
    let state = sys::sockopt::get(socket, state).ok().and_then(|info| info.bytes().first().copied());
    Facts {
        tcp,
        place: place(socket, container, own),
        closed: state == Some(CLOSED),
        bound: is_bound(socket),
    }
}

fn place(socket: BorrowedFd<'_>, container: u64, own: u64) -> Place {
    match sys::socket::namespace_of(socket) {
        // Over all namespaces of the container's, and of those that it makes, we have the right to know.
        Err(e) if e.errno == Errno::PERM => Place::Host,
        Err(_) => Place::Elsewhere,
        Ok(namespace) => match rustix::fs::fstat(namespace.as_fd()).map(|stat| stat.st_ino) {
            Ok(inode) if inode == own => Place::Host,
            Ok(inode) if inode == container => Place::Container,
            _ => Place::Elsewhere,
        },
    }
}

fn is_bound(socket: BorrowedFd<'_>) -> bool {
    let device = Name { level: libc::SOL_SOCKET, name: libc::SO_BINDTOIFINDEX };
    let device = sys::sockopt::get(socket, device).ok().and_then(|index| index.number()).unwrap_or(0);
    let local = rustix::net::getsockname(socket).ok().and_then(|local| SocketAddr::try_from(local).ok());
    device != 0 || local.is_none_or(|local| local.port() != 0 || !local.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn own() -> u32 {
        rustix::process::getpid().as_raw_pid().unsigned_abs()
    }

    fn netns() -> u64 {
        rustix::fs::stat("/proc/self/ns/net").unwrap().st_ino
    }

    fn tcp() -> OwnedFd {
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap()
    }

    #[test]
    fn an_address_is_read_from_where_it_is() {
        let mut bytes = vec![2u8, 0, 0, 80, 192, 0, 2, 1];
        bytes.resize(16, 0);
        let pointer = bytes.as_ptr() as u64;
        assert_eq!(address(own(), pointer, 16), Some("192.0.2.1:80".parse().unwrap()));
        assert_eq!(address(own(), pointer, 8), None);
        assert_eq!(address(own(), pointer, u64::from(u32::MAX)), None, "a negative length");
        assert_eq!(address(own(), 8, 16), None, "nothing is there");
    }

    #[test]
    fn a_socket_is_known_by_what_it_is_bound_to_and_how_far_it_got() {
        let fresh = tcp();
        let facts = |fd: BorrowedFd<'_>| facts(fd, netns(), 1);
        let wanted = Facts { tcp: true, place: Place::Container, closed: true, bound: false };
        assert_eq!(facts(fresh.as_fd()), wanted);
        rustix::net::bind(&fresh, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        assert_eq!(facts(fresh.as_fd()), Facts { bound: true, ..wanted });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!facts(listener.as_fd()).closed);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!facts(client.as_fd()).closed);
        assert!(!facts(UdpSocket::bind("127.0.0.1:0").unwrap().as_fd()).tcp);
        assert_eq!(super::facts(tcp().as_fd(), 1, netns()).place, Place::Host);
        assert_eq!(super::facts(tcp().as_fd(), 1, 2).place, Place::Elsewhere);
    }

    #[test]
    fn descriptors_of_any_thread_are_had() {
        use std::os::fd::AsRawFd;
        let socket = tcp();
        let number = socket.as_raw_fd();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let thread = rustix::thread::gettid().as_raw_pid().unsigned_abs();
                let copy = descriptor(thread, number).unwrap();
                rustix::fs::fstat(&copy).unwrap().st_ino
            });
            assert_eq!(other.join().unwrap(), inode);
        });
        assert!(!closes_on_exec(own(), number).unwrap());
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).unwrap();
        assert!(closes_on_exec(own(), number).unwrap());
    }
}
