//! Socket addresses as containers write them: any bytes at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// `AF_INET` and `AF_INET6`, and the least lengths that connect(2) takes for them (`sizeof(struct sockaddr_in)`;
/// `SIN6_LEN_RFC2133` in net/ipv6/af_inet6.c).
const INET: (u16, usize) = (2, 16);
const INET6: (u16, usize) = (10, 24);

/// Longer than any address of the internet (`struct sockaddr_in6`).
pub const LONGEST: usize = 28;

/// An address for connect(2), or none: of another family, or too short, which the kernel is to say.
pub fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk::<2>()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    if family == INET.0 && bytes.len() >= INET.1 {
        let address: [u8; 4] = bytes[4..8].try_into().ok()?;
        return Some(SocketAddr::new(Ipv4Addr::from(address).into(), port));
    }
    if family == INET6.0 && bytes.len() >= INET6.1 {
        let address: [u8; 16] = bytes[8..24].try_into().ok()?;
        let flow = u32::from_ne_bytes(bytes[4..8].try_into().ok()?);
        let scope = bytes.get(24..28).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
        return Some(SocketAddrV6::new(Ipv6Addr::from(address), port, flow, scope).into());
    }
    None
}

/// Whom packets are exchanged with: `::ffff:192.0.2.1` is 192.0.2.1.
pub fn destination(address: &SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inet(address: [u8; 4], port: u16) -> Vec<u8> {
        let mut bytes = INET.0.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(address);
        bytes.extend([0; 8]);
        bytes
    }

    #[test]
    fn addresses_are_read_as_connect_reads_them() {
        assert_eq!(parse(&inet([192, 0, 2, 1], 80)), Some("192.0.2.1:80".parse().unwrap()));
        assert_eq!(parse(&inet([192, 0, 2, 1], 80)[..15]), None, "too short");
        let mut six = INET6.0.to_ne_bytes().to_vec();
        six.extend(443u16.to_be_bytes());
        six.extend([0; 4]);
        six.extend("::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets());
        let mapped = parse(&six).expect("without a scope, as old programs have it");
        assert_eq!((destination(&mapped), mapped.port()), ("192.0.2.1".parse().unwrap(), 443));
        let mut unix = 1u16.to_ne_bytes().to_vec();
        unix.extend(b"/run/some.sock\0\0\0\0\0\0");
        assert_eq!(parse(&unix), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_address_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(address) = parse(&bytes) {
                let least = if address.is_ipv4() { INET.1 } else { INET6.1 };
                prop_assert!(bytes.len() >= least);
            }
        }
    }
}
