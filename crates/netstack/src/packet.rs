//! What a packet is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Protocol numbers (IANA), and IPv6 extension headers that are walked over.
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// More extension headers than any sender has use for; a chain of them costs the reader time.
const MAX_EXTENSIONS: usize = 8;

pub(crate) const ECHO_REQUEST: u8 = 8;
pub(crate) const ECHO_REQUEST_V6: u8 = 128;

/// A packet that is what it claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub content: Content<'a>,
    /// How many routers it may pass yet: the time to live, or hop limit.
    pub hops: u8,
    /// Whether a router may cut it (RFC 791, "don't fragment"); those of IPv6 never may (RFC 8200, 5).
    pub may_be_cut: bool,
    /// The packet itself, without what followed it in the buffer.
    pub bytes: &'a [u8],
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    Tcp(Segment),
    /// The ports of a UDP datagram, whole or its first fragment.
    Udp {
        source: u16,
        destination: u16,
    },
    /// An echo request (ping), whole.
    Echo(Echo<'a>),
    /// A fragment that does not say which flow it belongs to.
    Fragment,
    /// Some other protocol, by its number.
    Other(u8),
}

/// What matters of a TCP segment that belongs to no socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub source: u16,
    pub destination: u16,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub flags: Flags,
    /// Bytes of data.
    pub length: u32,
}

/// Flags of a segment (RFC 9293, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;

    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// Whether the segment asks for a new connection and does nothing else.
    pub fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }
}

/// An echo request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    pub identifier: u16,
    pub sequence: u16,
    pub data: &'a [u8],
}

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("not IPv4 or IPv6")]
    Version,
    #[error("{part} is cut short")]
    Truncated { part: &'static str },
    #[error("{part} is said to be {length} bytes long")]
    Length { part: &'static str, length: usize },
    #[error("more than {MAX_EXTENSIONS} extension headers")]
    Extensions,
}

impl Packet<'_> {
    /// Where a packet with ports comes from and goes to.
    pub fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (source, destination) = match self.content {
            Content::Tcp(segment) => (segment.source, segment.destination),
            Content::Udp { source, destination } => (source, destination),
            _ => return None,
        };
        Some((SocketAddr::new(self.source, source), SocketAddr::new(self.destination, destination)))
    }
}

/// Reads a packet.
///
/// # Errors
/// [`Malformed`] when a header is cut short or says of itself what cannot be.
pub fn parse(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => parse_v4(bytes),
        Some(6) => parse_v6(bytes),
        _ => Err(Malformed::Version),
    }
}

fn parse_v4(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    const PART: &str = "the IPv4 header";
    let fixed = bytes.first_chunk::<20>().ok_or(Malformed::Truncated { part: PART })?;
    let header = usize::from(fixed[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if header < fixed.len() {
        return Err(Malformed::Length { part: PART, length: header });
    }
    if total < header || total > bytes.len() {
        return Err(Malformed::Length { part: "the IPv4 packet", length: total });
    }
    let bytes = &bytes[..total];
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
    let place = Place { offset: fragment & 0x1fff, more: fragment & 0x2000 != 0 };
    Ok(Packet {
        source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]).into(),
        destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]).into(),
        content: content(fixed[9], &bytes[header..], place, ICMP)?,
        hops: fixed[8],
        may_be_cut: fragment & 0x4000 == 0,
        bytes,
    })
}

fn parse_v6(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    let fixed = bytes.first_chunk::<40>().ok_or(Malformed::Truncated { part: "the IPv6 header" })?;
    let total = fixed.len() + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    if total > bytes.len() {
        return Err(Malformed::Length { part: "the IPv6 packet", length: total });
    }
    let bytes = &bytes[..total];
    let address = |at: usize| {
        let octets: [u8; 16] = fixed[at..at + 16].try_into().expect("16 bytes of 40");
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let (protocol, rest, place) = skip_extensions(fixed[6], &bytes[fixed.len()..])?;
    let content = content(protocol, rest, place, ICMPV6)?;
    let (source, destination) = (address(8), address(24));
    Ok(Packet { source, destination, content, hops: fixed[7], may_be_cut: false, bytes })
}

/// Where in its datagram a fragment is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    offset: u16,
    more: bool,
}

/// What follows the extension headers (RFC 8200, 4): its protocol, its bytes, and which part of the whole they are.
fn skip_extensions(mut protocol: u8, mut rest: &[u8]) -> Result<(u8, &[u8], Place), Malformed> {
    const PART: &str = "an IPv6 extension header";
    let mut place = Place::default();
    for _ in 0..MAX_EXTENSIONS {
        let length = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let head = rest.first_chunk::<2>().ok_or(Malformed::Truncated { part: PART })?;
                8 * (usize::from(head[1]) + 1)
            }
            FRAGMENT => {
                let head = rest.first_chunk::<8>().ok_or(Malformed::Truncated { part: PART })?;
                let word = u16::from_be_bytes([head[2], head[3]]);
                place = Place { offset: word >> 3, more: word & 1 != 0 };
                head.len()
            }
            _ => return Ok((protocol, rest, place)),
        };
        protocol = *rest.first().ok_or(Malformed::Truncated { part: PART })?;
        rest = rest.get(length..).ok_or(Malformed::Length { part: PART, length })?;
        if place.offset != 0 {
            // What follows is the middle of something.
            return Ok((protocol, rest, place));
        }
    }
    Err(Malformed::Extensions)
}

/// `icmp` is the number of the family's own ICMP.
fn content(protocol: u8, bytes: &[u8], place: Place, icmp: u8) -> Result<Content<'_>, Malformed> {
    if place.offset != 0 {
        return Ok(Content::Fragment);
    }
    match protocol {
        // No sender cuts a segment's header; whatever a fragment of TCP is, it is dropped.
        TCP if place.more => Ok(Content::Fragment),
        TCP => tcp(bytes).map(Content::Tcp),
        UDP => udp(bytes, place),
        _ if protocol == icmp => echo(protocol, bytes, place),
        other => Ok(Content::Other(other)),
    }
}

fn tcp(bytes: &[u8]) -> Result<Segment, Malformed> {
    const PART: &str = "the TCP header";
    let fixed = bytes.first_chunk::<20>().ok_or(Malformed::Truncated { part: PART })?;
    let header = usize::from(fixed[12] >> 4) * 4;
    if header < fixed.len() || header > bytes.len() {
        return Err(Malformed::Length { part: PART, length: header });
    }
    let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    Ok(Segment {
        source: u16::from_be_bytes([fixed[0], fixed[1]]),
        destination: u16::from_be_bytes([fixed[2], fixed[3]]),
        sequence: word(4),
        acknowledgement: word(8),
        flags: Flags(fixed[13]),
        length: (bytes.len() - header) as u32,
    })
}

fn udp(bytes: &[u8], place: Place) -> Result<Content<'_>, Malformed> {
    const PART: &str = "the UDP header";
    let fixed = bytes.first_chunk::<8>().ok_or(Malformed::Truncated { part: PART })?;
    let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    // A first fragment holds only part of what its header counts.
    if length < fixed.len() || (length > bytes.len() && !place.more) {
        return Err(Malformed::Length { part: "the UDP datagram", length });
    }
    Ok(Content::Udp {
        source: u16::from_be_bytes([fixed[0], fixed[1]]),
        destination: u16::from_be_bytes([fixed[2], fixed[3]]),
    })
}

fn echo(protocol: u8, bytes: &[u8], place: Place) -> Result<Content<'_>, Malformed> {
    let fixed = bytes.first_chunk::<8>().ok_or(Malformed::Truncated { part: "the ICMP header" })?;
    let request = if protocol == ICMP { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    if (fixed[0], fixed[1]) != (request, 0) {
        return Ok(Content::Other(protocol));
    }
    if place.more {
        return Ok(Content::Fragment);
    }
    Ok(Content::Echo(Echo {
        identifier: u16::from_be_bytes([fixed[4], fixed[5]]),
        sequence: u16::from_be_bytes([fixed[6], fixed[7]]),
        data: &bytes[8..],
    }))
}
