//! A DHCP client (RFC 2131) without sockets or clocks: enough to be given an address and keep it.
//!
//! ```text
//!   Selecting ──OFFER──▶ Requesting ──ACK──▶ Bound ──half of the lease gone: REQUEST──▶ (Bound again by ACK)
//!       ▲                    │ NAK, silence                │ NAK, another address, expired
//!       └────────────────────┘                             └─▶ error: the interface is to be set up anew
//! ```
//!
//! What is no answer to this client is passed over; a server that says nonsense is as one that says nothing.

mod message;

use crate::talk::{Lease, Mac};
use message::{Kind, Message};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

pub use message::{CLIENT_PORT, SERVER_PORT};

/// How long a server is looked for.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The first pause before a message is sent again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));
/// How often an offer is asked for before another is looked for.
const REQUESTS: u32 = 4;
/// The least pause between two attempts to renew (RFC 2131, section 4.4.5).
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no server gave an address within {PATIENCE:?}; is there one behind the bridge?")]
    NoServer,
    #[error("the lease of {address} ran out: the server {server} no longer renews it")]
    Expired { address: Ipv4Addr, server: Ipv4Addr },
    #[error("the server {server} withdrew the address {address}")]
    Withdrawn { address: Ipv4Addr, server: Ipv4Addr },
    #[error("the server {server} changed {what}")]
    Changed { server: Ipv4Addr, what: &'static str },
}

/// A datagram for port 67.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub to: Ipv4Addr,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
enum State {
    Selecting,
    Requesting { offer: Lease },
    Bound { lease: Lease, since: Instant },
}

/// One client on one interface.
#[derive(Debug)]
pub struct Client {
    mac: Mac,
    transaction: u32,
    state: State,
    begun: Instant,
    /// How often this state's message was sent.
    sent: u32,
    /// When it is sent next; never, for a lease without end.
    due: Option<Instant>,
}

impl Client {
    pub fn new(mac: Mac, transaction: u32, now: Instant) -> Self {
        Self { mac, transaction, state: State::Selecting, begun: now, sent: 0, due: Some(now) }
    }

    /// When to call [`Client::due`] again, if nothing comes before.
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be sent now, if anything.
    pub fn due(&mut self, now: Instant) -> Result<Option<Outgoing>, Error> {
        if self.due.is_none_or(|due| now < due) {
            return Ok(None);
        }
        if matches!(self.state, State::Requesting { .. }) && self.sent >= REQUESTS {
            self.change(State::Selecting, Some(now));
        }
        let outgoing = match &self.state {
            State::Bound { lease, since } => {
                let (outgoing, next) = self.renewal(lease, *since, now)?;
                self.due = Some(next);
                outgoing
            }
            _ if now.duration_since(self.begun) >= PATIENCE => return Err(Error::NoServer),
            State::Selecting => self.again(self.message(Kind::Discover), now),
            State::Requesting { offer } => {
                let wanted = (Some(offer.address), Some(offer.server));
                let request =
                    Message { requested: wanted.0, server: wanted.1, ..self.message(Kind::Request) };
                self.again(request, now)
            }
        };
        Ok(Some(outgoing))
    }

    /// A lease that is new, from a datagram that came from port 67.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Option<Lease>, Error> {
        let ours = |m: &Message| m.is_reply && m.transaction == self.transaction && m.mac == self.mac;
        let Some(message) = Message::parse(datagram).filter(ours) else { return Ok(None) };
        match (&self.state, message.kind) {
            (State::Selecting, Kind::Offer) => {
                if let Some(offer) = message.lease() {
                    self.change(State::Requesting { offer }, Some(now));
                }
                Ok(None)
            }
            (State::Requesting { offer }, Kind::Ack) => {
                let lease =
                    message.lease().filter(|l| (l.address, l.server) == (offer.address, offer.server));
                let Some(lease) = lease else { return Ok(None) };
                self.bind(lease.clone(), now);
                Ok(Some(lease))
            }
            (State::Requesting { offer }, Kind::Nak) if message.server == Some(offer.server) => {
                self.change(State::Selecting, Some(now));
                Ok(None)
            }
            (State::Bound { lease, .. }, Kind::Nak) if message.server == Some(lease.server) => {
                Err(Error::Withdrawn { address: lease.address, server: lease.server })
            }
            (State::Bound { lease: held, .. }, Kind::Ack) => {
                let Some(renewed) = message.lease() else { return Ok(None) };
                let what = changed(held, &renewed);
                if let Some(what) = what {
                    return Err(Error::Changed { server: renewed.server, what });
                }
                self.bind(renewed, now);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn change(&mut self, state: State, due: Option<Instant>) {
        (self.state, self.sent, self.due) = (state, 0, due);
    }

    fn bind(&mut self, lease: Lease, now: Instant) {
        let due = lease.duration.map(|seconds| now + Duration::from_secs(seconds.into()) / 2);
        self.change(State::Bound { lease, since: now }, due);
    }

    fn message(&self, kind: Kind) -> Message {
        Message::request(kind, self.transaction, self.mac)
    }

    fn again(&mut self, message: Message, now: Instant) -> Outgoing {
        let pause = (PAUSES.0 * 2u32.saturating_pow(self.sent)).min(PAUSES.1);
        self.sent += 1;
        self.due = Some(now + pause);
        Outgoing { to: Ipv4Addr::BROADCAST, bytes: message.encode() }
    }

    /// From the server that gave it first; near the end, from whoever hears it. And when to ask again.
    fn renewal(&self, lease: &Lease, since: Instant, now: Instant) -> Result<(Outgoing, Instant), Error> {
        let duration = Duration::from_secs(lease.duration.unwrap_or(u32::MAX).into());
        let end = since + duration;
        if now >= end {
            return Err(Error::Expired { address: lease.address, server: lease.server });
        }
        let to = if now < since + duration / 8 * 7 { lease.server } else { Ipv4Addr::BROADCAST };
        let message = Message { held: lease.address, ..self.message(Kind::Request) };
        let next = (now + (end - now) / 2).max(now + RENEWAL_PAUSE).min(end);
        Ok((Outgoing { to, bytes: message.encode() }, next))
    }
}

fn changed(held: &Lease, renewed: &Lease) -> Option<&'static str> {
    if held.address != renewed.address {
        Some("the address")
    } else if (held.prefix, held.gateway) != (renewed.prefix, renewed.gateway) {
        Some("the subnet or its gateway")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
