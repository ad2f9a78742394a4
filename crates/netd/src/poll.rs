//! The epoll instance, with typed tokens in its events.

use crate::slab::Key;
use rustix::{
    event::{Timespec, epoll},
    io::Errno,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// Which socket of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Asking = 0,
    Asked = 1,
}

/// Whose descriptor an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// The control socket's listener.
    Control,
    /// A connection to the control socket.
    Connection(Key),
    /// A published port's listener, in the host's namespace and in the router's.
    Port(Key),
    PortInside(Key),
    /// An end of a TCP flow: who asked for it, and who was asked.
    Stream(Key, End),
    /// The container's end of a UDP flow.
    Datagram(Key),
    /// A resolver's UDP socket.
    Query(Key),
    /// A resolver's TCP listener.
    QueryStream(Key),
    /// A connection to it.
    QueryClient(Key),
    /// A socket towards an upstream DNS server.
    Answer(Key),
    /// The tun.
    Tun,
    /// A listener that catches containers' connections; the key's index says which.
    Caught(Key),
    /// The host's side of a connection on its way out.
    Dial(Key),
    /// The container's end of a relay of datagrams, and the host's.
    RelayInside(Key),
    RelayOutside(Key),
    /// A ping socket.
    Echo(Key),
}

const NONE: Key = Key { index: 0, generation: 0 };

impl Token {
    /// Kind in 8 bits, generation in 24, index in 32.
    fn pack(self) -> u64 {
        let (kind, key) = match self {
            Self::Control => (0, NONE),
            Self::Connection(key) => (1, key),
            Self::Port(key) => (2, key),
            Self::Stream(key, End::Asking) => (3, key),
            Self::Stream(key, End::Asked) => (16, key),
            Self::Datagram(key) => (4, key),
            Self::Query(key) => (5, key),
            Self::QueryStream(key) => (6, key),
            Self::Answer(key) => (7, key),
            Self::Tun => (8, NONE),
            Self::Caught(key) => (9, key),
            Self::Dial(key) => (10, key),
            Self::RelayInside(key) => (11, key),
            Self::RelayOutside(key) => (12, key),
            Self::Echo(key) => (13, key),
            Self::QueryClient(key) => (14, key),
            Self::PortInside(key) => (15, key),
        };
        (kind << 56) | (u64::from(key.generation) << 32) | u64::from(key.index)
    }

    fn unpack(word: u64) -> Option<Self> {
        let key = Key { index: word as u32, generation: ((word >> 32) & 0x00ff_ffff) as u32 };
        match word >> 56 {
            0 => Some(Self::Control),
            1 => Some(Self::Connection(key)),
            2 => Some(Self::Port(key)),
            3 => Some(Self::Stream(key, End::Asking)),
            4 => Some(Self::Datagram(key)),
            5 => Some(Self::Query(key)),
            6 => Some(Self::QueryStream(key)),
            7 => Some(Self::Answer(key)),
            8 => Some(Self::Tun),
            9 => Some(Self::Caught(key)),
            10 => Some(Self::Dial(key)),
            11 => Some(Self::RelayInside(key)),
            12 => Some(Self::RelayOutside(key)),
            13 => Some(Self::Echo(key)),
            14 => Some(Self::QueryClient(key)),
            15 => Some(Self::PortInside(key)),
            16 => Some(Self::Stream(key, End::Asked)),
            _ => None,
        }
    }
}

/// What one wait returned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub token: Token,
    pub ready: Ready,
}

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ready {
    pub readable: bool,
    pub writable: bool,
    /// Less than was asked for does not mean that nothing is left: the end of data, an error, or an urgent mark, which
    /// stops a read short (tcp(7)), comes after it.
    pub more: bool,
    /// An error, or both directions ended.
    pub broken: bool,
}

impl From<epoll::EventFlags> for Ready {
    fn from(flags: epoll::EventFlags) -> Self {
        use epoll::EventFlags as E;
        let broken = flags.intersects(E::ERR | E::HUP);
        let more = broken || flags.intersects(E::RDHUP | E::PRI);
        Self {
            readable: more || flags.contains(E::IN),
            writable: broken || flags.contains(E::OUT),
            more,
            broken,
        }
    }
}

pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(256) })
    }

    /// Tells of input as long as there is any.
    pub(crate) fn add_input(&self, fd: impl AsFd, token: Token) -> Result<(), Errno> {
        self.add(fd, token, epoll::EventFlags::IN)
    }

    /// Tells once of each change in either direction. A descriptor that is watched already changes its token, and what
    /// there is to tell of it is told again.
    pub(crate) fn add_edges(&self, fd: impl AsFd, token: Token) -> Result<(), Errno> {
        use epoll::EventFlags as E;
        let flags = E::IN | E::OUT | E::PRI | E::RDHUP | E::ET;
        match self.add(fd.as_fd(), token, flags) {
            Err(Errno::EXIST) => {
                epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token.pack()), flags)
            }
            other => other,
        }
    }

    fn add(&self, fd: impl AsFd, token: Token, flags: epoll::EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token.pack()), flags)
    }

    /// Waits for events, at most `timeout`; an interrupted wait is an empty one.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<Vec<Event>, Errno> {
        self.events.clear();
        let timeout =
            timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: i64::from(t.subsec_nanos()) });
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let read = |event: &epoll::Event| {
            let flags = event.flags;
            Some(Event { token: Token::unpack(event.data.u64())?, ready: flags.into() })
        };
        Ok(self.events.iter().filter_map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_packing() {
        let key = Key { index: u32::MAX, generation: 0x00ff_ffff };
        for token in [
            Token::Control,
            Token::Connection(key),
            Token::Port(key),
            Token::PortInside(key),
            Token::Stream(key, End::Asking),
            Token::Stream(key, End::Asked),
            Token::Datagram(key),
            Token::Query(key),
            Token::QueryStream(key),
            Token::QueryClient(key),
            Token::Answer(key),
            Token::Tun,
            Token::Caught(key),
            Token::Dial(key),
            Token::RelayInside(key),
            Token::RelayOutside(key),
            Token::Echo(key),
        ] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert!(Token::unpack(99 << 56).is_none());
    }
}
