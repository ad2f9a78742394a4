//! Frames: a little-endian u32 length, then that many bytes of JSON, an [`Envelope`].
//!
//! Descriptors travel as SCM_RIGHTS (unix(7)) on the frame's first byte. The kernel never delivers bytes from beyond a
//! segment that carries descriptors in the same `recvmsg`, but may deliver earlier frames with it, so the envelope says
//! how many descriptors are its own and the decoder hands them out in order.

use crate::ProtoError;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest body. An OCI specification with Docker's seccomp rules and 10,000 mounts stays below it.
pub const MAX_BODY: usize = 8 << 20;

/// The most descriptors beside one frame; the kernel's own limit is 253 (`SCM_MAX_FD`).
pub const MAX_DESCRIPTORS: usize = 64;

const HEADER: usize = 4;
const CHUNK: usize = 16 << 10;

/// What a frame holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope<M> {
    /// The request's number, repeated in its reply; 0 for events.
    pub seq: u64,
    /// How many descriptors belong to this frame.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fds: usize,
    pub msg: M,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// A message with the descriptors that came with it.
#[derive(Debug)]
pub struct Received<M> {
    pub seq: u64,
    pub msg: M,
    pub fds: Vec<OwnedFd>,
}

/// The whole frame for a message that `fds` descriptors go with.
pub fn encode<M: Serialize>(seq: u64, msg: &M, fds: usize) -> Result<Vec<u8>, ProtoError> {
    if fds > MAX_DESCRIPTORS {
        return Err(ProtoError::TooManyDescriptors { count: fds, limit: MAX_DESCRIPTORS });
    }
    let mut frame = vec![0; HEADER];
    serde_json::to_writer(&mut frame, &Envelope { seq, fds, msg })
        .map_err(|source| ProtoError::Unwritable { source })?;
    let length = frame.len() - HEADER;
    let short = u32::try_from(length).ok().filter(|_| length <= MAX_BODY);
    let short = short.ok_or(ProtoError::TooLong { length, limit: MAX_BODY })?;
    frame[..HEADER].copy_from_slice(&short.to_le_bytes());
    Ok(frame)
}

/// Bytes and descriptors in, messages out.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// What one `recvmsg` delivered.
    pub fn push(&mut self, bytes: &[u8], fds: impl IntoIterator<Item = OwnedFd>) {
        self.bytes.extend_from_slice(bytes);
        self.fds.extend(fds);
    }

    /// The next whole message, if there is one.
    pub fn message<M: DeserializeOwned>(&mut self) -> Result<Option<Received<M>>, ProtoError> {
        let Some(header) = self.bytes.first_chunk::<HEADER>() else {
            self.rest();
            return Ok(None);
        };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_BODY {
            return Err(ProtoError::TooLong { length, limit: MAX_BODY });
        }
        let Some(body) = self.bytes.get(HEADER..HEADER + length) else { return Ok(None) };
        let envelope: Envelope<M> =
            serde_json::from_slice(body).map_err(|source| ProtoError::Malformed { source })?;
        self.bytes.drain(..HEADER + length);
        self.rest();
        if envelope.fds > self.fds.len() {
            return Err(ProtoError::MissingDescriptors { announced: envelope.fds, arrived: self.fds.len() });
        }
        let fds = self.fds.drain(..envelope.fds).collect();
        Ok(Some(Received { seq: envelope.seq, msg: envelope.msg, fds }))
    }

    /// Shims and their connections live as long as their containers, mostly waiting: room for what comes next is made
    /// when it comes.
    fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Whether the stream ended inside a frame.
    pub fn is_mid_frame(&self) -> bool {
        !self.bytes.is_empty()
    }
}

/// One `sendmsg`. Returns how many bytes went; the descriptors go with the first one, so pass them once only.
/// Never raises SIGPIPE.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// One `recvmsg` into `decoder`. Returns how many bytes came; 0 is the end of the stream.
/// Descriptors arrive close-on-exec.
pub fn receive(socket: impl AsFd, decoder: &mut Decoder) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let start = decoder.bytes.len();
    decoder.bytes.resize(start + CHUNK, 0);
    let outcome = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut decoder.bytes[start..])],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    );
    decoder.bytes.truncate(start + outcome.as_ref().map_or(0, |o| o.bytes));
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            decoder.fds.extend(fds);
        }
    }
    Ok(outcome?.bytes)
}
