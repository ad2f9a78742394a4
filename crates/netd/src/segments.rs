//! Datagrams of one size as one piece.
//!
//! A program may hand the kernel up to 64 datagrams of one size in one call (udp(7), `UDP_SEGMENT`, since Linux 4.18), as
//! those that speak QUIC do, and a socket may be given such a piece, and what the kernel has put together of what came by a
//! network card, uncut (`UDP_GRO`, since Linux 5.0). What comes in as one piece goes on as one: sockets, routes and
//! bridges are passed once instead of for each datagram.

use crate::socket;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use rustix::io::Errno;
use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::{AsRawFd, OwnedFd},
};

/// What was received: `length` bytes, which are datagrams of `each`, the last of which may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub length: usize,
    pub each: usize,
}

/// Has the socket receive pieces, where the kernel knows how. Whoever reads from it must look at [`Received::each`] from then
/// on.
pub(crate) fn accept(socket: &OwnedFd) -> Result<(), Errno> {
    match setsockopt(socket, sockopt::UdpGroSegment, &true) {
        Ok(()) | Err(nix::errno::Errno::ENOPROTOOPT) => Ok(()),
        Err(errno) => Err(socket::errno(errno)),
    }
}

impl Received {
    /// `said` is what the kernel said of it besides.
    pub(crate) fn new(length: usize, said: impl IntoIterator<Item = ControlMessageOwned>) -> Self {
        let each = said.into_iter().find_map(|message| match message {
            ControlMessageOwned::UdpGroSegments(each) => usize::try_from(each).ok().filter(|each| *each > 0),
            _ => None,
        });
        Self { length, each: each.unwrap_or(length) }
    }
}

/// Receives from a connected socket.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut control = nix::cmsg_space!(i32);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
        .map_err(socket::errno)?;
    Ok(Received::new(message.bytes, message.cmsgs().map_err(socket::errno)?))
}

/// Sends `data`, which is datagrams of `each`: by `together` when it is several, or one after another by `alone` where that
/// fails, since the path takes less (`EMSGSIZE`, `EINVAL`), or a device on it cannot cut (`EIO`).
///
/// # Errors
/// An error that waited at the socket, or else the first of those that `alone` met; the rest are sent nevertheless.
pub(crate) fn send(
    data: &[u8],
    each: usize,
    together: impl FnOnce(ControlMessage<'_>) -> Result<(), Errno>,
    mut alone: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    if data.len() <= each {
        return alone(data);
    }
    let sent = u16::try_from(each)
        .map_err(|_| Errno::INVAL)
        .and_then(|size| together(ControlMessage::UdpGsoSegments(&size)));
    let mut outcome = match sent {
        // Cut or not, there is no room for them.
        Ok(()) | Err(Errno::AGAIN | Errno::NOBUFS) => return sent,
        Err(Errno::MSGSIZE | Errno::INVAL | Errno::IO | Errno::OPNOTSUPP) => Ok(()),
        // An error that waited to be told, and is told once (`sock_error()`).
        Err(waiting) => Err(waiting),
    };
    for datagram in data.chunks(each.max(1)) {
        outcome = outcome.and(alone(datagram));
    }
    outcome
}

/// One call that sends `data`, with what is to be said besides.
pub(crate) fn send_with(
    socket: &OwnedFd,
    to: Option<&SockaddrStorage>,
    data: &[u8],
    besides: &[ControlMessage<'_>],
) -> Result<(), Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(data)], besides, flags, to).map(drop).map_err(socket::errno)
}

/// Sends on a connected socket.
pub(crate) fn send_on(socket: &OwnedFd, data: &[u8], each: usize) -> Result<(), Errno> {
    let alone =
        |datagram: &[u8]| rustix::net::send(socket, datagram, rustix::net::SendFlags::NOSIGNAL).map(drop);
    send(data, each, |size| send_with(socket, None, data, &[size]), alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// What is sent together and alone, when sending together has this outcome.
    fn sent(data: &[u8], each: usize, together: Result<(), Errno>) -> (Option<u16>, Vec<Vec<u8>>) {
        let size = RefCell::new(None);
        let mut alone = Vec::new();
        let note = |control: ControlMessage<'_>| {
            if let ControlMessage::UdpGsoSegments(each) = control {
                size.replace(Some(*each));
            }
            together
        };
        send(data, each, note, |datagram| {
            alone.push(datagram.to_vec());
            Ok(())
        })
        .ok();
        (size.into_inner(), alone)
    }

    #[test]
    fn one_datagram_is_sent_as_one() {
        for data in [&b""[..], b"abc"] {
            assert_eq!(sent(data, data.len(), Ok(())), (None, vec![data.to_vec()]));
        }
    }

    #[test]
    fn several_are_sent_together_or_else_one_by_one() {
        assert_eq!(sent(b"abcde", 2, Ok(())), (Some(2), Vec::new()));
        let one_by_one: Vec<Vec<u8>> = vec![b"ab".into(), b"cd".into(), b"e".into()];
        for refusal in [Errno::MSGSIZE, Errno::INVAL, Errno::IO] {
            assert_eq!(sent(b"abcde", 2, Err(refusal)), (Some(2), one_by_one.clone()), "{refusal:?}");
        }
        // As full as it was for all of them.
        assert_eq!(sent(b"abcde", 2, Err(Errno::AGAIN)), (Some(2), Vec::new()));
    }

    #[test]
    fn an_error_that_waited_is_told_and_all_is_sent() {
        let mut count = 0;
        let alone = |_: &[u8]| {
            count += 1;
            Ok(())
        };
        assert_eq!(send(b"abcd", 2, |_| Err(Errno::CONNREFUSED), alone), Err(Errno::CONNREFUSED));
        assert_eq!(count, 2);
    }

    #[test]
    fn the_first_failure_is_told_and_the_rest_is_sent() {
        let mut count = 0;
        let outcome = send(
            b"abcd",
            1,
            |_| Err(Errno::INVAL),
            |datagram| {
                count += 1;
                if datagram == b"b" { Err(Errno::MSGSIZE) } else { Ok(()) }
            },
        );
        assert_eq!((outcome, count), (Err(Errno::MSGSIZE), 4));
    }
}
