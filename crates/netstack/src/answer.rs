//! Answers to packets: resets, "unreachable", echo replies.
//!
//! They come from the address that the packet was sent to, which alone the sender has asked; but for errors that a router
//! on the way has told of ([`error_from`]). Each is written into a vector of its own, from values rather than in place.

use crate::{
    checksum::Sum,
    packet::{self, Content, Echo, Flags, ICMP, ICMPV6, Packet, Segment, TCP, UDP},
};
use std::net::{IpAddr, SocketAddr};

const HOP_LIMIT: u8 = 64;

/// How long an ICMP error may be (RFC 1812, 4.3.2.3; RFC 4443, 3.1).
const MAX_ERROR_V4: usize = 576;
const MAX_ERROR_V6: usize = 1280;

/// Why a destination cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Network,
    Host,
    Port,
    /// By policy.
    Prohibited,
    /// The packet does not fit the way; the MTU that does.
    TooBig(u32),
    /// It passed as many routers as it might.
    Expired,
}

/// The reset that a segment of no connection is answered with (RFC 9293, 3.10.7.1); none to a reset.
pub fn reset(packet: &Packet<'_>, segment: &Segment) -> Option<Vec<u8>> {
    if segment.flags.has(Flags::RST) {
        return None;
    }
    let taken =
        segment.length + u32::from(segment.flags.has(Flags::SYN)) + u32::from(segment.flags.has(Flags::FIN));
    let (sequence, acknowledgement, flags) = if segment.flags.has(Flags::ACK) {
        (segment.acknowledgement, 0, Flags::RST)
    } else {
        (0, segment.sequence.wrapping_add(taken), Flags::RST | Flags::ACK)
    };
    let mut bytes = Vec::with_capacity(20);
    bytes.extend(segment.destination.to_be_bytes());
    bytes.extend(segment.source.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledgement.to_be_bytes());
    // Five words of header, no window, the checksum, nothing urgent.
    bytes.extend([5 << 4, flags, 0, 0, 0, 0, 0, 0]);
    Some(wrap(packet.destination, packet.source, TCP, bytes, Some(16)))
}

impl Reason {
    /// What the type and code of an ICMP error say, and its MTU if it has one; none for what is no error about a packet's
    /// way (RFC 792, RFC 1191, RFC 1812, 5.2.7; RFC 4443, 3).
    pub fn of_icmp(v4: bool, kind: u8, code: u8, mtu: u32) -> Option<Self> {
        match (v4, kind, code) {
            (true, 3, 0 | 6 | 8 | 11) | (false, 1, 0) => Some(Self::Network),
            (true, 3, 3) | (false, 1, 4) => Some(Self::Port),
            (true, 3, 4) | (false, 2, 0) => Some(Self::TooBig(mtu)),
            (true, 3, 9 | 10 | 13) | (false, 1, 1 | 5) => Some(Self::Prohibited),
            (true, 3, _) | (false, 1, _) => Some(Self::Host),
            (true, 11, 0) | (false, 3, 0) => Some(Self::Expired),
            _ => None,
        }
    }
}

/// The ICMP error about a packet, by whom it was sent to; none about what must not be answered with one (RFC 1122, 3.2.2;
/// RFC 4443, 2.4 e).
pub fn unreachable(packet: &Packet<'_>, reason: Reason) -> Option<Vec<u8>> {
    error_from(packet.destination, packet, reason)
}

/// As [`unreachable()`], by a router on the way. Its address is of the packet's family.
pub fn error_from(router: IpAddr, packet: &Packet<'_>, reason: Reason) -> Option<Vec<u8>> {
    let answerable = !matches!(packet.content, Content::Fragment)
        && !packet.source.is_multicast()
        && !packet.source.is_unspecified()
        && !packet.destination.is_multicast();
    // An ICMP message that is no echo request may be an error itself.
    let is_error = matches!(packet.content, Content::Other(ICMP | ICMPV6));
    if !answerable || is_error {
        return None;
    }
    let v4 = packet.source.is_ipv4();
    let (kind, code, rest) = if v4 { code_v4(reason) } else { code_v6(reason) };
    let (limit, header) = if v4 { (MAX_ERROR_V4, 20) } else { (MAX_ERROR_V6, 40) };
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest.to_be_bytes());
    let room = limit - header - bytes.len();
    bytes.extend(&packet.bytes[..packet.bytes.len().min(room)]);
    let protocol = if v4 { ICMP } else { ICMPV6 };
    Some(wrap(router, packet.source, protocol, bytes, Some(2)))
}

/// RFC 792, RFC 1191, RFC 1812 5.2.7.1: type, code, and the word after the checksum.
fn code_v4(reason: Reason) -> (u8, u8, u32) {
    match reason {
        Reason::Network => (3, 0, 0),
        Reason::Host => (3, 1, 0),
        Reason::Port => (3, 3, 0),
        Reason::TooBig(mtu) => (3, 4, mtu.min(u32::from(u16::MAX))),
        Reason::Prohibited => (3, 13, 0),
        Reason::Expired => (11, 0, 0),
    }
}

/// RFC 4443, 3.1 and 3.2.
fn code_v6(reason: Reason) -> (u8, u8, u32) {
    match reason {
        Reason::Network => (1, 0, 0),
        Reason::Prohibited => (1, 1, 0),
        Reason::Host => (1, 3, 0),
        Reason::Port => (1, 4, 0),
        Reason::TooBig(mtu) => (2, 0, mtu),
        Reason::Expired => (3, 0, 0),
    }
}

/// The reply to an echo request from `source` to `destination`, the latter now answering.
pub fn echo_reply(source: IpAddr, destination: IpAddr, echo: &Echo<'_>) -> Vec<u8> {
    let kind = if source.is_ipv4() { 0 } else { 129 };
    echo_message(destination, source, kind, echo)
}

/// An echo request again, as what an error about it quotes.
pub fn echo_request(source: IpAddr, destination: IpAddr, echo: &Echo<'_>) -> Vec<u8> {
    let kind = if source.is_ipv4() { packet::ECHO_REQUEST } else { packet::ECHO_REQUEST_V6 };
    echo_message(source, destination, kind, echo)
}

fn echo_message(from: IpAddr, to: IpAddr, kind: u8, echo: &Echo<'_>) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(echo.identifier.to_be_bytes());
    bytes.extend(echo.sequence.to_be_bytes());
    let header = if from.is_ipv4() { 20 } else { 40 };
    let room = usize::from(u16::MAX) - header - bytes.len();
    bytes.extend(&echo.data[..echo.data.len().min(room)]);
    let protocol = if from.is_ipv4() { ICMP } else { ICMPV6 };
    wrap(from, to, protocol, bytes, Some(2))
}

/// A UDP datagram that is no longer there, with what is known of its data: what an error about it quotes.
pub fn datagram(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let data = &data[..data.len().min(MAX_ERROR_V6)];
    let mut bytes = Vec::with_capacity(8 + data.len());
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend((8 + data.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(data);
    wrap(from.ip(), to.ip(), UDP, bytes, Some(6))
}

/// Puts an IP header before `bytes`, and their checksum at `checksum`. The addresses are of one family.
pub(crate) fn wrap(
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    mut bytes: Vec<u8>,
    checksum: Option<usize>,
) -> Vec<u8> {
    if let Some(at) = checksum {
        // ICMP of IPv4 alone has no pseudo-header (RFC 792).
        let start = match protocol {
            ICMP => Sum::default(),
            _ => Sum::pseudo_header(from, to, protocol, bytes.len()),
        };
        let sum = start.add(&bytes).finish();
        // To UDP, zero means that there is none (RFC 768).
        let sum = if protocol == UDP && sum == 0 { u16::MAX } else { sum };
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let mut packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(20 + bytes.len()).expect("answers are shorter than 64 KiB");
            let mut header = vec![0x45, 0];
            header.extend(total.to_be_bytes());
            header.extend([0, 0, 0, 0, HOP_LIMIT, protocol, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = Sum::default().add(&header).finish();
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let length = u16::try_from(bytes.len()).expect("answers are shorter than 64 KiB");
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([protocol, HOP_LIMIT]);
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        _ => unreachable!("a packet's addresses are of one family"),
    };
    packet.extend(bytes);
    packet
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
