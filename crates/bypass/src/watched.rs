//! Whether a program waits for a socket by epoll(7) already.
//!
//! An epoll instance watches what a descriptor stood for when it was added. When another socket takes the descriptor's
//! place nothing is ever heard of it again: a program that adds a socket first and connects it then would hang. Such
//! a socket goes its ordinary way.

use std::{fs, io, os::unix::fs::MetadataExt};

/// How many descriptors are looked through for instances of epoll: a few hundred microseconds. A process that has more is
/// taken to watch its sockets.
const MANY: usize = 512;

/// Whether an epoll instance among the descriptors of `thread` watches the socket with this inode number.
pub(crate) fn is_watched(thread: u32, socket: u64) -> io::Result<bool> {
    let directory = format!("/proc/{thread}/fd");
    // The size of the directory is the number of descriptors (Linux 6.2, proc_pid_fd(5)); 0 before that.
    if fs::metadata(&directory)?.size() > MANY as u64 {
        return Ok(true);
    }
    for (index, entry) in fs::read_dir(&directory)?.enumerate() {
        if index >= MANY {
            return Ok(true);
        }
        let entry = entry?;
        // Closed meanwhile is as good as never open.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if target.as_os_str() != "anon_inode:[eventpoll]" {
            continue;
        }
        let info = format!("/proc/{thread}/fdinfo/{}", entry.file_name().to_string_lossy());
        let Ok(info) = fs::read_to_string(info) else { continue };
        if watches(&info, socket) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lines like `tfd: 5 events: 1d data: ffffffffffffffff  pos:0 ino:61af sdev:7` (proc_pid_fdinfo(5)), the inode number in
/// base 16.
fn watches(info: &str, socket: u64) -> bool {
    info.lines().filter(|line| line.starts_with("tfd:")).any(|line| {
        let ino = line.split_whitespace().find_map(|word| word.strip_prefix("ino:"));
        ino.and_then(|ino| u64::from_str_radix(ino, 16).ok()) == Some(socket)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::epoll;
    use std::{fs::File, net::TcpListener, os::fd::AsFd};

    #[test]
    fn a_socket_is_watched_from_the_moment_that_it_is_added() {
        let (socket, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), File::open("/proc/self").unwrap());
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        let own = rustix::process::getpid().as_raw_pid().unsigned_abs();
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        assert!(!is_watched(own, inode).unwrap());
        epoll::add(&poll, socket.as_fd(), epoll::EventData::new_u64(0), epoll::EventFlags::OUT).unwrap();
        assert!(is_watched(own, inode).unwrap());
        assert!(!is_watched(own, rustix::fs::fstat(&other).unwrap().st_ino).unwrap());
    }
}
