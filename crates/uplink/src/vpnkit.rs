//! The handshake of vpnkit's Ethernet socket (moby/vpnkit, `src/hostnet/vmnet.ml` and `go/pkg/vmnet`). Numbers are
//! little-endian.
//!
//! ```text
//!  uplink                                   vpnkit
//!    ├── "VMN3T", version: u32, commit: 40 ──►│
//!    │◄─ the same, its own ───────────────────┤
//!    ├── 1 (Ethernet), UUID as text: 36, 4 ──►│
//!    │◄─ 1 (a vif), MTU: u16, largest: u16, MAC: 6, padding: 247
//!    │   or 2 (refused), length: u8, why: that many
//! ```
//! Frames follow.

use crate::talk::Mac;
use std::io::{self, Read, Write};

const MAGIC: &[u8; 5] = b"VMN3T";
/// The version that answers with a type first, since 2018.
const VERSION: u32 = 22;
const COMMIT: usize = 40;
const ETHERNET: u8 = 1;
const VIF: u8 = 1;
const REFUSED: u8 = 2;
const PADDING: usize = 247;

/// The smallest MTU of IPv4 that RFC 1122 lets hosts live with, and the largest packet.
const MTUS: std::ops::RangeInclusive<u16> = 576..=65_535;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{operation} during the handshake: {source}")]
    Socket { operation: &'static str, source: io::Error },
    #[error("it does not speak vpnkit's protocol: it begins with {found:?}")]
    Magic { found: String },
    #[error("it speaks version {found} of the protocol; {VERSION} or later is needed")]
    Version { found: u32 },
    #[error("it refuses: {why}")]
    Refused { why: String },
    #[error("it answers with message {found}, which is neither an interface (1) nor a refusal (2)")]
    Answer { found: u8 },
    #[error("it offers an interface with an MTU of {mtu} and the address {mac:02x?}")]
    Vif { mtu: u16, mac: Mac },
}

/// What vpnkit says about the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vif {
    pub mtu: u16,
    pub mac: Mac,
}

/// Shakes hands as a client with this identity, which decides about the address that DHCP gives.
///
/// # Errors
/// Each answer but the documented one.
pub fn shake_hands(stream: &mut (impl Read + Write), uuid: [u8; 16]) -> Result<Vif, Error> {
    write(stream, &[&MAGIC[..], &VERSION.to_le_bytes(), &[b'0'; COMMIT]].concat())?;
    let magic: [u8; 5] = read(stream)?;
    if &magic != MAGIC {
        return Err(Error::Magic { found: String::from_utf8_lossy(&magic).into_owned() });
    }
    let version = u32::from_le_bytes(read(stream)?);
    read::<COMMIT>(stream)?;
    if version < VERSION {
        return Err(Error::Version { found: version });
    }
    write(stream, &[&[ETHERNET][..], text(uuid).as_bytes(), &[0; 4]].concat())?;
    match read::<1>(stream)? {
        [VIF] => vif(stream),
        [REFUSED] => {
            let [length] = read(stream)?;
            let mut why = vec![0; length.into()];
            fill(stream, &mut why)?;
            Err(Error::Refused { why: String::from_utf8_lossy(&why).into_owned() })
        }
        [found] => Err(Error::Answer { found }),
    }
}

fn vif(stream: &mut impl Read) -> Result<Vif, Error> {
    let mtu = u16::from_le_bytes(read(stream)?);
    read::<2>(stream)?;
    let mac: Mac = read(stream)?;
    read::<PADDING>(stream)?;
    // Bit 0 of the first octet marks a group (IEEE 802), which no interface can be.
    if !MTUS.contains(&mtu) || mac == [0; 6] || mac[0] & 1 != 0 {
        return Err(Error::Vif { mtu, mac });
    }
    Ok(Vif { mtu, mac })
}

/// RFC 9562, section 4.
fn text(uuid: [u8; 16]) -> String {
    let hex: String = uuid.iter().map(|b| format!("{b:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn write(stream: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
    stream.write_all(bytes).map_err(|source| Error::Socket { operation: "write", source })
}

fn read<const N: usize>(stream: &mut impl Read) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    fill(stream, &mut bytes)?;
    Ok(bytes)
}

fn fill(stream: &mut impl Read, bytes: &mut [u8]) -> Result<(), Error> {
    stream.read_exact(bytes).map_err(|source| Error::Socket { operation: "read", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that says what it says whatever it hears.
    struct Peer<'a> {
        says: &'a [u8],
        heard: Vec<u8>,
    }

    impl Read for Peer<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Peer<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn greeting(version: u32) -> Vec<u8> {
        [&b"VMN3T"[..], &version.to_le_bytes(), &[b'c'; 40]].concat()
    }

    fn offer(mtu: u16, mac: Mac) -> Vec<u8> {
        [&[1][..], &mtu.to_le_bytes(), &[0, 0], &mac, &[0; 247]].concat()
    }

    fn told(says: &[u8]) -> Result<Vif, Error> {
        shake_hands(&mut Peer { says, heard: Vec::new() }, [7; 16])
    }

    const MAC: Mac = [2, 0x50, 0, 0, 0, 1];

    #[test]
    fn an_interface_is_asked_for_and_described() {
        let says = [greeting(22), offer(1500, MAC)].concat();
        let mut peer = Peer { says: &says, heard: Vec::new() };
        let uuid =
            [0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0];
        let vif = shake_hands(&mut peer, uuid).unwrap();
        assert_eq!(vif, Vif { mtu: 1500, mac: MAC });
        assert!(peer.says.is_empty(), "frames begin right behind it");
        assert_eq!(peer.heard.len(), 49 + 41);
        assert_eq!(&peer.heard[..9], b"VMN3T\x16\0\0\0");
        assert_eq!(&peer.heard[49..], b"\x01123e4567-e89b-12d3-a456-426614174000\0\0\0\0");
    }

    #[test]
    fn every_other_answer_is_an_error_that_says_why() {
        let check = |says: &[u8], expect: &str| {
            let error = told(says).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(b"", "read during the handshake");
        check(b"HTTP/1.1 400 Bad Request\r\n\r\n", "begins with \"HTTP/\"");
        check(&greeting(2), "version 2 of the protocol");
        check(&greeting(22), "read during the handshake");
        check(&[greeting(22), vec![2, 4], b"full".to_vec()].concat(), "it refuses: full");
        check(&[greeting(22), vec![2, 9], b"full".to_vec()].concat(), "read during the handshake");
        check(&[greeting(22), vec![3]].concat(), "message 3");
        check(&[greeting(22), offer(1500, MAC)[..100].to_vec()].concat(), "read during the handshake");
        check(&[greeting(22), offer(100, MAC)].concat(), "an MTU of 100");
        check(&[greeting(22), offer(1500, [1, 0, 0, 0, 0, 1])].concat(), "the address [01");
    }
}
