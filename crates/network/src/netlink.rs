//! Raw netlink (netlink(7)): no program is run, and several changes go to the kernel in one system call.
//!
//! A netlink socket belongs to the network namespace of the thread that opened it, for life. So a socket opened once
//! by a thread that joined the router namespace serves any thread afterwards.

pub(crate) mod link;
pub(crate) mod nft;
pub(crate) mod route;

use crate::error::{Error, Result};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols};
use rustix::io::Errno;
use std::io;

/// Enough for the largest datagram of a dump (the kernel caps them at 32 KiB, `NLMSG_GOODSIZE`).
const RECEIVE_BUFFER: usize = 64 << 10;

/// One message to the kernel, with what to say when it is refused.
pub(crate) struct Change {
    operation: String,
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
    /// The error that means that it was done before.
    tolerate: Option<Errno>,
    /// The kernel answers only when it fails, and then answers nothing else.
    frame: bool,
}

impl Change {
    pub(crate) fn new(operation: impl Into<String>, kind: u16, flags: u16, payload: Vec<u8>) -> Self {
        Self { operation: operation.into(), kind, flags, payload, tolerate: None, frame: false }
    }

    pub(crate) fn route(operation: impl Into<String>, message: &RouteNetlinkMessage, flags: u16) -> Self {
        let mut payload = vec![0; message.buffer_len()];
        message.serialize(&mut payload);
        Self::new(operation, message.message_type(), flags, payload)
    }

    /// The begin or end of a transaction, which not every kernel acknowledges (since 6.13: nfnetlink.c,
    /// `nfnetlink_rcv_batch`).
    pub(crate) fn frame(operation: impl Into<String>, kind: u16, payload: Vec<u8>) -> Self {
        Self { frame: true, ..Self::new(operation, kind, 0, payload) }
    }

    /// Takes `errno` for success: EEXIST for what was made before, ENODEV for what went by itself.
    pub(crate) fn tolerating(self, errno: Errno) -> Self {
        Self { tolerate: Some(errno), ..self }
    }
}

/// A netlink socket.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// For links, addresses, routes and rules of the calling thread's network namespace.
    pub(crate) fn route_here() -> Result<Self> {
        Self::open_here(protocols::NETLINK_ROUTE)
    }

    /// For nf_tables of the calling thread's network namespace.
    pub(crate) fn netfilter_here() -> Result<Self> {
        Self::open_here(protocols::NETLINK_NETFILTER)
    }

    fn open_here(protocol: isize) -> Result<Self> {
        let failed = |source| Error::Netlink { operation: "open a netlink socket".into(), source };
        let mut socket = Socket::new(protocol).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Makes one change.
    pub(crate) fn change(&mut self, change: Change) -> Result<()> {
        self.changes(&[change])
    }

    /// Makes several changes with one system call. The kernel tries each, also after one that failed; the first
    /// failure is returned.
    pub(crate) fn changes(&mut self, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let first = self.sequence.wrapping_add(1);
        let mut datagram = Vec::with_capacity(changes.iter().map(|c| c.payload.len() + 20).sum());
        for change in changes {
            self.sequence = self.sequence.wrapping_add(1);
            let flags = change.flags | NLM_F_REQUEST | if change.frame { 0 } else { NLM_F_ACK };
            push_message(&mut datagram, change.kind, flags, self.sequence, &change.payload);
        }
        self.send(&datagram, || changes.first().map(|c| c.operation.clone()).unwrap_or_default())?;
        let mut failure = None;
        let mut waiting = changes.iter().filter(|c| !c.frame).count();
        while waiting > 0 {
            self.receive("read the kernel's answer", |header, body| {
                let Some(change) = changes.get(header.sequence_number.wrapping_sub(first) as usize) else {
                    return;
                };
                if header.message_type == NLMSG_ERROR {
                    waiting = if change.frame { 0 } else { waiting.saturating_sub(1) };
                    let errno = error_code(body);
                    if errno != 0
                        && change.tolerate.map(Errno::raw_os_error) != Some(errno)
                        && failure.is_none()
                    {
                        failure = Some((change.operation.clone(), errno));
                    }
                }
            })?;
        }
        match failure {
            None => Ok(()),
            Some((operation, errno)) => {
                Err(Error::Netlink { operation, source: io::Error::from_raw_os_error(errno) })
            }
        }
    }

    /// Asks for one object and returns it.
    pub(crate) fn get(
        &mut self,
        operation: &str,
        message: &RouteNetlinkMessage,
    ) -> Result<RouteNetlinkMessage> {
        self.query(operation, message, NLM_F_REQUEST)?.pop().ok_or_else(|| Error::Netlink {
            operation: operation.into(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Asks for all objects of a kind.
    pub(crate) fn dump(
        &mut self,
        operation: &str,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        self.query(operation, message, NLM_F_REQUEST | NLM_F_DUMP)
    }

    fn query(
        &mut self,
        operation: &str,
        message: &RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        let mut payload = vec![0; message.buffer_len()];
        message.serialize(&mut payload);
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut datagram = Vec::with_capacity(payload.len() + 20);
        push_message(&mut datagram, message.message_type(), flags, sequence, &payload);
        self.send(&datagram, || operation.to_owned())?;
        let (mut found, mut failure, mut done) = (Vec::new(), None, false);
        while !done {
            self.receive(operation, |header, body| match header.message_type {
                _ if header.sequence_number != sequence => {}
                NLMSG_DONE => done = true,
                NLMSG_ERROR => {
                    done = true;
                    failure = Some(error_code(body)).filter(|e| *e != 0);
                }
                _ => {
                    done = flags & NLM_F_DUMP == 0;
                    // What a newer kernel says in ways this library does not know is not what was asked for.
                    found.extend(RouteNetlinkMessage::deserialize(header, body).ok());
                }
            })?;
        }
        match failure {
            None => Ok(found),
            Some(errno) => Err(Error::Netlink {
                operation: operation.into(),
                source: io::Error::from_raw_os_error(errno),
            }),
        }
    }

    fn send(&self, datagram: &[u8], operation: impl Fn() -> String) -> Result<()> {
        self.socket
            .send(datagram, 0)
            .map(|_| ())
            .map_err(|source| Error::Netlink { operation: operation(), source })
    }

    /// Receives one datagram and shows each message in it.
    fn receive(&self, operation: &str, mut show: impl FnMut(&NetlinkHeader, &[u8])) -> Result<()> {
        let mut buffer = Vec::with_capacity(RECEIVE_BUFFER);
        loop {
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Netlink { operation: operation.into(), source }),
            }
        }
        let mut rest = buffer.as_slice();
        while let Some((header, body, length)) = split_message(rest) {
            show(&header, body);
            rest = rest.get(align(length)..).unwrap_or(&[]);
        }
        Ok(())
    }
}

/// nlmsghdr(7): length, type, flags, sequence number, port; then the payload, padded to four bytes.
fn push_message(datagram: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, payload: &[u8]) {
    let length = 16 + payload.len();
    datagram.extend((length as u32).to_ne_bytes());
    datagram.extend(kind.to_ne_bytes());
    datagram.extend(flags.to_ne_bytes());
    datagram.extend(sequence.to_ne_bytes());
    datagram.extend(0u32.to_ne_bytes());
    datagram.extend(payload);
    datagram.resize(datagram.len() + align(length) - length, 0);
}

fn split_message(bytes: &[u8]) -> Option<(NetlinkHeader, &[u8], usize)> {
    let head = bytes.first_chunk::<16>()?;
    let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(0) as usize;
    let mut header = NetlinkHeader::default();
    header.length = word(0);
    header.message_type = u16::from_ne_bytes([head[4], head[5]]);
    header.flags = u16::from_ne_bytes([head[6], head[7]]);
    header.sequence_number = word(8);
    header.port_number = word(12);
    Some((header, bytes.get(16..length)?, length))
}

/// The positive errno of an `nlmsgerr`; 0 is an acknowledgement.
fn error_code(body: &[u8]) -> i32 {
    body.first_chunk::<4>().map_or(Errno::INVAL.raw_os_error(), |code| -i32::from_ne_bytes(*code))
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}
