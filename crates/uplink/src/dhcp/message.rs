//! DHCP messages (RFC 2131, figure 1) and the few options that are used (RFC 2132).

use crate::talk::{Lease, Mac};
use std::net::Ipv4Addr;

/// UDP ports of the two ends.
pub const CLIENT_PORT: u16 = 68;
pub const SERVER_PORT: u16 = 67;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: [u8; 3] = [1, 6, 0];
/// The client has no address yet that an answer could be sent to: everybody on the link is.
const BROADCAST: [u8; 2] = [0x80, 0];
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Where options begin.
const FIXED: usize = 240;
/// Shorter messages are dropped by some servers (RFC 1542, section 2.1).
const SHORTEST: usize = 300;

const PAD: u8 = 0;
const MASK: u8 = 1;
const ROUTER: u8 = 3;
const RESOLVER: u8 = 6;
const REQUESTED: u8 = 50;
const DURATION: u8 = 51;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const WANTED: u8 = 55;
const CLIENT: u8 = 61;
const END: u8 = 255;

/// A lease that is said to last this long has no end.
const FOREVER: u32 = u32::MAX;
/// Of a server that does not say.
const USUAL_DURATION: u32 = 3600;
/// Renewals would be the only traffic.
const SHORTEST_DURATION: u32 = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Ack = 5,
    Nak = 6,
}

/// A message, without what is not used of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub is_reply: bool,
    pub kind: Kind,
    pub transaction: u32,
    pub mac: Mac,
    /// The address that the client has already.
    pub held: Ipv4Addr,
    /// The address that the server gives.
    pub given: Ipv4Addr,
    pub requested: Option<Ipv4Addr>,
    pub server: Option<Ipv4Addr>,
    pub mask: Option<Ipv4Addr>,
    pub router: Option<Ipv4Addr>,
    pub resolver: Option<Ipv4Addr>,
    pub duration: Option<u32>,
}

impl Message {
    pub(super) fn request(kind: Kind, transaction: u32, mac: Mac) -> Self {
        Self {
            is_reply: false,
            kind,
            transaction,
            mac,
            held: Ipv4Addr::UNSPECIFIED,
            given: Ipv4Addr::UNSPECIFIED,
            requested: None,
            server: None,
            mask: None,
            router: None,
            resolver: None,
            duration: None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![if self.is_reply { REPLY } else { REQUEST }];
        bytes.extend(ETHERNET);
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend([0, 0]);
        // A client that has an address can be answered there.
        bytes.extend(if self.held.is_unspecified() { BROADCAST } else { [0, 0] });
        bytes.extend(self.held.octets());
        bytes.extend(self.given.octets());
        bytes.extend([0; 8]);
        bytes.extend(self.mac);
        bytes.resize(FIXED - COOKIE.len(), 0);
        bytes.extend(COOKIE);
        let mut option = |number: u8, value: &[u8]| {
            bytes.extend([number, value.len() as u8]);
            bytes.extend(value);
        };
        option(KIND, &[self.kind as u8]);
        option(CLIENT, &[&[1][..], &self.mac].concat());
        let addresses = [
            (REQUESTED, self.requested),
            (SERVER, self.server),
            (MASK, self.mask),
            (ROUTER, self.router),
            (RESOLVER, self.resolver),
        ];
        for (number, address) in addresses.into_iter().filter_map(|(n, a)| Some((n, a?))) {
            option(number, &address.octets());
        }
        if let Some(duration) = self.duration {
            option(DURATION, &duration.to_be_bytes());
        }
        if !self.is_reply {
            option(WANTED, &[MASK, ROUTER, RESOLVER, DURATION]);
        }
        bytes.push(END);
        bytes.resize(bytes.len().max(SHORTEST), PAD);
        bytes
    }

    /// None for what is no DHCP message on Ethernet.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (fixed, options) = bytes.split_first_chunk::<FIXED>()?;
        if fixed[1..3] != ETHERNET[..2] || fixed[FIXED - 4..] != COOKIE {
            return None;
        }
        let address = |at: usize| Ipv4Addr::from([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let mut message = Self {
            is_reply: fixed[0] == REPLY,
            held: address(12),
            given: address(16),
            ..Self::request(
                kind(options)?,
                u32::from_be_bytes(*fixed[4..].first_chunk()?),
                *fixed[28..].first_chunk()?,
            )
        };
        for (number, value) in Options(options) {
            let address = value.first_chunk().map(|octets| Ipv4Addr::from(*octets));
            match number {
                MASK => message.mask = address,
                ROUTER => message.router = address,
                RESOLVER => message.resolver = address,
                REQUESTED => message.requested = address,
                SERVER => message.server = address,
                DURATION => message.duration = value.first_chunk().map(|n| u32::from_be_bytes(*n)),
                _ => {}
            }
        }
        Some(message)
    }

    /// What an offer or an acknowledgement gives; none when an interface cannot be configured with it.
    pub(super) fn lease(&self) -> Option<Lease> {
        let (address, gateway, server) = (self.given, self.router?, self.server?);
        let mask = self.mask?.to_bits();
        let prefix = mask.leading_ones() as u8;
        let within = |ip: Ipv4Addr| {
            let host = ip.to_bits() & !mask;
            ip.to_bits() & mask == address.to_bits() & mask && host != 0 && host != !mask
        };
        let usable = |ip: Ipv4Addr| {
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
        };
        let fits = (1..=30).contains(&prefix)
            && mask == u32::MAX << (32 - prefix)
            && within(address)
            && within(gateway)
            && address != gateway
            && [address, gateway, server].into_iter().all(usable);
        let duration = match self.duration.unwrap_or(USUAL_DURATION) {
            FOREVER => None,
            seconds => Some(seconds.max(SHORTEST_DURATION)),
        };
        let resolver = self.resolver.filter(|ip| usable(*ip));
        fits.then_some(Lease { address, prefix, gateway, resolver, server, duration })
    }
}

fn kind(options: &[u8]) -> Option<Kind> {
    let (_, value) = Options(options).find(|(number, _)| *number == KIND)?;
    let known = [Kind::Discover, Kind::Offer, Kind::Request, Kind::Ack, Kind::Nak];
    known.into_iter().find(|kind| value == [*kind as u8])
}

/// Options until the end, or until one that is cut off.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match *self.0 {
                [PAD, ref rest @ ..] => self.0 = rest,
                [END, ..] | [] | [_] => return None,
                [number, length, ref rest @ ..] => {
                    let (value, rest) = rest.split_at_checked(length.into())?;
                    self.0 = rest;
                    return Some((number, value));
                }
            }
        }
    }
}
