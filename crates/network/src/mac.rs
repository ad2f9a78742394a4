//! Ethernet addresses.

use serde::{Deserialize, Serialize};
use std::{fmt, net::Ipv4Addr, str::FromStr};

/// A 48-bit Ethernet address, written `02:42:ac:11:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr(pub [u8; 6]);

/// The text is not six pairs of hexadecimal digits with colons or dashes between them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address {0:?}: expected six pairs of hexadecimal digits, such as 02:42:ac:11:00:02")]
pub struct InvalidMac(pub String);

impl MacAddr {
    /// A random address with the "locally administered" bit set and the "group" bit clear (IEEE 802, clause 8.4).
    pub fn random() -> Self {
        let mut bytes: [u8; 6] = rand::random();
        bytes[0] = (bytes[0] | 0b10) & !0b1;
        Self(bytes)
    }

    /// The address that goes with `address`, as Docker made them until release 28. Whoever is given the address next has
    /// this MAC too, so that no neighbour sends to one that is gone until its entry goes stale (RFC 1122, 2.3.2.1).
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl FromStr for MacAddr {
    type Err = InvalidMac;
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let invalid = || InvalidMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(pair.ok_or_else(invalid)?, 16).map_err(|_| invalid())?;
        }
        if pairs.next().is_some() { Err(invalid()) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for MacAddr {
    type Error = InvalidMac;
    fn try_from(text: String) -> Result<Self, InvalidMac> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> String {
        mac.to_string()
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_addresses_agree() {
        let mac: MacAddr = "02:42:AC-11:00:0f".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:0f");
        for bad in [
            "",
            "02:42",
            "02:42:ac:11:00:0g",
            "02:42:ac:11:00:0f:01",
            "2:42:ac:11:00:0f",
            "+2:42:ac:11:00:0f",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn random_addresses_are_local_and_unicast() {
        for _ in 0..64 {
            let mac = MacAddr::random();
            assert_eq!(mac.0[0] & 0b11, 0b10);
        }
    }
}
