//! Connections to the control socket: bytes and descriptors in, replies out.

use crate::proto::{self, MAX_LISTENERS, Reply, Request};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags,
        SocketAddrUnix, SocketFlags, SocketType, recvmsg,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::Duration,
};

/// How long a peer may leave a reply unread once no more of it fits the socket (socket(7), `SO_SNDTIMEO`): no flow is served
/// meanwhile.
const UNREAD: Duration = Duration::from_secs(1);

/// The listening control socket at `path`, which only its owner may connect to: the directory's mode says so, and the
/// socket's.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

/// One connection.
pub(crate) struct Connection {
    pub socket: OwnedFd,
    input: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    /// There was no room here for one that was sent (recvmsg(2), `MSG_CTRUNC`).
    truncated: bool,
}

/// The descriptors that came with a request.
pub(crate) struct Passed {
    fds: std::vec::IntoIter<OwnedFd>,
    truncated: bool,
}

impl Passed {
    /// The next one; else why there is none.
    pub(crate) fn take(&mut self) -> Result<OwnedFd, Errno> {
        self.fds.next().ok_or(if self.truncated { Errno::MFILE } else { Errno::BADF })
    }
}

/// What a connection's input came to.
pub(crate) enum Input {
    /// A whole request, with the descriptors that came so far.
    Request(Request, Passed),
    /// Not yet.
    Incomplete,
    /// The peer is gone, or has sent what is no request (then with what to tell it).
    Closed(Option<Reply>),
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, Errno> {
        set_socket_timeout(&socket, Timeout::Send, Some(UNREAD))?;
        Ok(Self { socket, input: Vec::new(), descriptors: VecDeque::new(), truncated: false })
    }

    /// Reads what there is, without blocking.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(scratch)];
        let message = recvmsg(&self.socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for received in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = received {
                self.descriptors.extend(rights);
            }
        }
        self.truncated |= message.flags.contains(ReturnFlags::CTRUNC);
        if message.bytes == 0 {
            return Err(Errno::PIPE);
        }
        self.input.extend_from_slice(&scratch[..message.bytes]);
        Ok(())
    }

    /// Takes the next request out of what was read.
    pub(crate) fn next(&mut self) -> Input {
        match proto::decode(&self.input) {
            Ok(None) => Input::Incomplete,
            Ok(Some((request, length))) => {
                self.input.drain(..length);
                // One request is outstanding at a time: what has come belongs to it.
                let fds: Vec<OwnedFd> = self.descriptors.drain(..).collect();
                let truncated = std::mem::take(&mut self.truncated);
                Input::Request(request, Passed { fds: fds.into_iter(), truncated })
            }
            Err(error) => {
                Input::Closed(Some(Reply::Invalid { expected: format!("add, remove or list: {error}") }))
            }
        }
    }

    /// Sends a reply. The socket is made to block for it: the engine waits for the reply and for nothing else.
    ///
    /// # Errors
    /// EAGAIN when the peer does not read. The reply is cut short: the connection is of no use any more.
    pub(crate) fn reply(&self, reply: &Reply, descriptors: &[OwnedFd]) -> Result<(), Errno> {
        let frame = proto::encode(reply);
        rustix::io::ioctl_fionbio(&self.socket, false)?;
        let attached: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let first = sys::fds::send_with_fds(&self.socket, &frame[..1], &attached).map_err(|e| e.errno);
        let sent = first.and_then(|first| send_all(&self.socket, &frame[first..]));
        rustix::io::ioctl_fionbio(&self.socket, true)?;
        sent
    }
}

fn send_all(socket: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, os::unix::net::UnixStream, thread};

    fn long_reply() -> Reply {
        Reply::Troubles { lines: vec!["x".repeat(1 << 20); 3] }
    }

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Connection::new(ours.into()).unwrap(), theirs)
    }

    /// As of `lichen net flows`, stopped by ^Z.
    #[test]
    fn a_peer_that_does_not_read_is_not_waited_for() {
        let (connection, _unread) = pair();
        assert_eq!(connection.reply(&long_reply(), &[]), Err(Errno::AGAIN));
    }

    #[test]
    fn a_reply_of_any_length_reaches_a_peer_that_reads() {
        let (connection, mut theirs) = pair();
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).map(|_| all)
        });
        connection.reply(&long_reply(), &[]).unwrap();
        drop(connection);
        let all = reading.join().unwrap().unwrap();
        assert_eq!(proto::decode(&all).unwrap(), Some((long_reply(), all.len())));
    }
}
