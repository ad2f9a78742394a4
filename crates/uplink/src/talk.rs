//! What an uplink and the engine that starts it say to each other: lines of JSON over the uplink's standard input and
//! output.
//!
//! ```text
//!  engine                                   uplink
//!    │          (starts it)                   │ program started, hands shaken, tap made; or, for lxc-user-nic,
//!    │                                        │ nothing but the router namespace joined
//!    │◄───────────────────────────────────────┤ Linked{mac, mtu}
//!    │ lxc-user-nic: makes the interface in   │
//!    │ the uplink's network namespace         │
//!    │ sets the MAC and the MTU, brings it up │
//!    ├───────────────────────────────────────►│ Up{mac}
//!    │                                        │ DHCP
//!    │◄───────────────────────────────────────┤ Leased{…}
//!    │ sets address and default route         │
//!    │ closes both                            │ relays and renews from here on
//! ```
//!
//! An uplink whose engine is gone before that ends; afterwards it needs none.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// What the engine is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The other end is there. Its program may want the interface to have an address and an MTU of its choice.
    Linked {
        mac: Option<Mac>,
        mtu: Option<u16>,
    },
    Leased(Lease),
}

/// What the uplink is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// The interface is up and has this address.
    Up { mac: Mac },
}

/// What a DHCP server gave (RFC 2131).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// 1 to 30.
    pub prefix: u8,
    /// In the same subnet.
    pub gateway: Ipv4Addr,
    /// The first name server.
    pub resolver: Option<Ipv4Addr>,
    pub server: Ipv4Addr,
    /// In seconds; none for ever.
    pub duration: Option<u32>,
}
