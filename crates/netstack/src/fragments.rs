//! Echo requests in pieces: put together, and replies cut.
//!
//! The kernel puts together what it delivers to sockets, TCP and UDP. An echo request that is larger than a container's
//! MTU comes in fragments, and nobody but the forwarder takes it. What senders do not do is dropped: fragments that overlap
//! (RFC 5722; the class of "teardrop"), or whose whole would be larger than a packet.

use crate::checksum::Sum;
use crate::packet::{ICMP, ICMPV6, Packet};
use crate::{answer, packet};
use std::collections::VecDeque;
use std::net::IpAddr;

/// How many are waited for at once, all containers' together; the oldest makes room.
const MAX_PARTIAL: usize = 32;
/// 64 KiB by an MTU of 1280, and some.
const MAX_PIECES: usize = 64;
/// With the longer header, what a packet carries.
const MAX_WHOLE: usize = u16::MAX as usize - 40;
/// The MTU that every link has (RFC 8200, 5).
const MINIMUM_MTU: usize = 1280;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
}

/// Part of a packet.
struct Piece<'a> {
    protocol: u8,
    identification: u32,
    offset: usize,
    more: bool,
    data: &'a [u8],
}

#[derive(Debug)]
struct Partial {
    name: Name,
    /// In order, without gaps told apart.
    pieces: Vec<(usize, Vec<u8>)>,
    /// Known with the last piece.
    length: Option<usize>,
}

/// What has come so far.
#[derive(Debug, Default)]
pub struct Fragments {
    partial: VecDeque<Partial>,
}

impl Fragments {
    /// Whether a fragment is one of an ICMP message, which [`Self::add`] is for.
    pub fn concerns(packet: &Packet<'_>) -> bool {
        piece(packet.bytes).is_some_and(|piece| matches!(piece.protocol, ICMP | ICMPV6))
    }

    /// Takes in a fragment and returns the packet that it completes.
    pub fn add(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let piece = piece(packet.bytes)?;
        let name = Name {
            source: packet.source,
            destination: packet.destination,
            identification: piece.identification,
        };
        let known = self.partial.iter().position(|partial| partial.name == name);
        let mut partial = match known.and_then(|at| self.partial.remove(at)) {
            Some(partial) => partial,
            None => Partial { name, pieces: Vec::new(), length: None },
        };
        // One that does not fit spoils the whole.
        partial.add(&piece)?;
        if let Some(whole) = partial.whole() {
            return Some(answer::wrap(packet.source, packet.destination, piece.protocol, whole, None));
        }
        if self.partial.len() >= MAX_PARTIAL {
            self.partial.pop_front();
        }
        self.partial.push_back(partial);
        None
    }
}

impl Partial {
    fn add(&mut self, piece: &Piece<'_>) -> Option<()> {
        let end = piece.offset + piece.data.len();
        let at = self.pieces.partition_point(|(offset, _)| *offset < piece.offset);
        let overlaps_before = at > 0 && self.pieces[at - 1].0 + self.pieces[at - 1].1.len() > piece.offset;
        let overlaps_after = self.pieces.get(at).is_some_and(|(offset, _)| *offset < end);
        let beyond = self.length.is_some_and(|length| end > length);
        let is_fit = !piece.data.is_empty()
            && end <= MAX_WHOLE
            && self.pieces.len() < MAX_PIECES
            && !overlaps_before
            && !overlaps_after
            && !beyond;
        if !piece.more {
            if self.length.is_some() || at < self.pieces.len() {
                return None;
            }
            self.length = Some(end);
        }
        is_fit.then(|| self.pieces.insert(at, (piece.offset, piece.data.to_vec())))
    }

    fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length?;
        let have: usize = self.pieces.iter().map(|(_, data)| data.len()).sum();
        // Without overlaps, as many bytes as there are to be are all of them.
        (have == length).then(|| self.pieces.iter().flat_map(|(_, data)| data.iter().copied()).collect())
    }
}

/// A packet that was parsed already, if it is a fragment.
fn piece(bytes: &[u8]) -> Option<Piece<'_>> {
    match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 0x0f) * 4;
            let word = u16::from_be_bytes([*bytes.get(6)?, *bytes.get(7)?]);
            let identification = u32::from(u16::from_be_bytes([bytes[4], bytes[5]]));
            let (offset, more) = (usize::from(word & 0x1fff) * 8, word & 0x2000 != 0);
            let piece =
                Piece { protocol: *bytes.get(9)?, identification, offset, more, data: bytes.get(header..)? };
            (more || offset > 0).then_some(piece)
        }
        6 if *bytes.get(6)? == packet::FRAGMENT => {
            let head = bytes.get(40..)?.first_chunk::<8>()?;
            let word = u16::from_be_bytes([head[2], head[3]]);
            Some(Piece {
                protocol: head[0],
                identification: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
                offset: usize::from(word & !7),
                more: word & 1 != 0,
                data: &bytes[48..],
            })
        }
        _ => None,
    }
}

/// A packet as it may be sent to a container whatever its MTU: routers cut those of IPv4 alone (RFC 8200, 4.5).
pub fn cut(packet: Vec<u8>, identification: u32) -> Vec<Vec<u8>> {
    if packet.len() <= MINIMUM_MTU {
        return vec![packet];
    }
    if packet[0] >> 4 == 4 {
        return vec![name_v4(packet, identification)];
    }
    let (header, payload) = packet.split_at(40);
    let room = (MINIMUM_MTU - 48) & !7;
    let count = payload.len().div_ceil(room);
    let piece = |(index, data): (usize, &[u8])| {
        let mut bytes = header.to_vec();
        bytes[4..6].copy_from_slice(&((data.len() + 8) as u16).to_be_bytes());
        bytes[6] = packet::FRAGMENT;
        let word = (index * room) as u16 | u16::from(index + 1 < count);
        bytes.extend([header[6], 0]);
        bytes.extend(word.to_be_bytes());
        bytes.extend(identification.to_be_bytes());
        bytes.extend(data);
        bytes
    };
    payload.chunks(room).enumerate().map(piece).collect()
}

/// Pieces that a router will cut are told apart by this.
fn name_v4(mut packet: Vec<u8>, identification: u32) -> Vec<u8> {
    packet[4..6].copy_from_slice(&(identification as u16).to_be_bytes());
    packet[10..12].copy_from_slice(&[0, 0]);
    let header = usize::from(packet[0] & 0x0f) * 4;
    let sum = Sum::default().add(&packet[..header]).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Echo};

    fn reply(v6: bool, data: &[u8]) -> Vec<u8> {
        let [from, to]: [IpAddr; 2] = match v6 {
            true => ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()],
            false => [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()],
        };
        answer::echo_request(from, to, &Echo { identifier: 1, sequence: 2, data })
    }

    #[test]
    fn what_is_cut_is_put_together_in_any_order() {
        let data: Vec<u8> = (0..9000).map(|i| (i % 251) as u8).collect();
        let whole = reply(true, &data);
        let mut pieces = cut(whole.clone(), 7);
        assert_eq!(pieces.len(), 8);
        assert!(pieces.iter().all(|piece| piece.len() <= MINIMUM_MTU));
        for _ in 0..pieces.len() {
            pieces.rotate_left(1);
            let mut fragments = Fragments::default();
            let mut done = pieces.iter().filter_map(|bytes| {
                let packet = packet::parse(bytes).unwrap();
                assert!(Fragments::concerns(&packet));
                fragments.add(&packet)
            });
            let put_together = done.next().expect("all pieces are there");
            let Content::Echo(echo) = packet::parse(&put_together).unwrap().content else { panic!() };
            assert!(echo.data == data);
            assert!(done.next().is_none());
        }
    }

    #[test]
    fn small_ones_and_those_of_ipv4_stay_whole() {
        assert_eq!(cut(reply(true, &[1; 1000]), 7).len(), 1);
        assert_eq!(cut(reply(false, &[1; 9000]), 7).len(), 1);
    }

    #[test]
    fn overlaps_are_dropped_and_the_oldest_makes_room() {
        let pieces = cut(reply(true, &[3; 4000]), 7);
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(&packet::parse(&pieces[1]).unwrap()), None);
        assert_eq!(fragments.add(&packet::parse(&pieces[1]).unwrap()), None, "again");
        assert!(fragments.partial.is_empty());
        for identification in 0..100 {
            fragments.add(&packet::parse(&cut(reply(true, &[3; 4000]), identification)[0]).unwrap());
        }
        assert_eq!(fragments.partial.len(), MAX_PARTIAL);
        assert_eq!(fragments.partial[0].name.identification, 68);
    }
}
