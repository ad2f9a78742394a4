//! DNS messages over TCP: each has its length before it, in two bytes (RFC 1035, 4.2.2).

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use std::os::fd::OwnedFd;

/// What of one message or several may wait to be sent; a peer that reads nothing gets nothing more.
const MAX_OUTPUT: usize = 256 << 10;

/// A connection, or one that is being made.
pub(crate) struct Wire {
    pub socket: OwnedFd,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The peer sends no more.
    pub ended: bool,
}

impl Wire {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, input: Vec::new(), output: Vec::new(), ended: false }
    }

    /// Has a message sent, as soon as the socket takes it.
    ///
    /// # Errors
    /// `EMSGSIZE` for one that no length of two bytes counts, `ENOBUFS` when too much waits already.
    pub(crate) fn push(&mut self, message: &[u8]) -> Result<(), Errno> {
        let length = u16::try_from(message.len()).map_err(|_| Errno::MSGSIZE)?;
        if self.output.len() + message.len() > MAX_OUTPUT {
            return Err(Errno::NOBUFS);
        }
        self.output.extend(length.to_be_bytes());
        self.output.extend(message);
        self.flush()
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), Errno> {
        while !self.output.is_empty() {
            match send(&self.socket, &self.output, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.output.drain(..sent)),
                Err(Errno::INTR) => {}
                // Also of one that is being connected (tcp.c, sk_stream_wait_connect).
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// Reads what there is, up to one message beyond the first.
    pub(crate) fn fill(&mut self, scratch: &mut [u8]) -> Result<(), Errno> {
        while !self.ended && self.input.len() < 2 * (2 + usize::from(u16::MAX)) {
            match recv(&self.socket, &mut *scratch, RecvFlags::empty()) {
                Ok((0, _)) => self.ended = true,
                Ok((read, _)) => self.input.extend(&scratch[..read]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Takes the next whole message out of what was read.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let (message, length) = split(&self.input)?;
        let message = message.to_vec();
        self.input.drain(..length);
        Some(message)
    }
}

/// The first message, and how many bytes it takes with its length; none when not all of it is there.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk::<2>()?));
    Some((bytes.get(2..2 + length)?, 2 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let mut wire = Wire::new(here.into());
        wire.push(b"question").unwrap();
        let mut sent = [0; 10];
        there.read_exact(&mut sent).unwrap();
        assert_eq!(&sent, b"\0\x08question");
        for byte in b"\0\x03one\0\0\0\x03two" {
            there.write_all(&[*byte]).unwrap();
            wire.fill(&mut [0; 64]).unwrap();
        }
        assert_eq!(
            [wire.next(), wire.next(), wire.next()],
            [Some(b"one".to_vec()), Some(vec![]), Some(b"two".to_vec())]
        );
        assert_eq!(wire.next(), None);
        drop(there);
        wire.fill(&mut [0; 64]).unwrap();
        assert!(wire.ended);
        assert_eq!(wire.push(&[0; 70_000]), Err(Errno::MSGSIZE));
    }
}
