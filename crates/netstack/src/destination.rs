//! Where packets of containers may not go.
//!
//! The forwarder connects from the host's network namespace, where some addresses mean the host itself or nothing that
//! a packet could be sent to. An address that a connect(2) would take for another one is no destination either: `0.0.0.0`
//! means loopback to it, and `::ffff:127.0.0.1` is the loopback of IPv4 in the clothes of IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a container's packet may be carried to this address at all.
pub fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_reachable_v4(v4),
        IpAddr::V6(v6) => is_reachable_v6(v6),
    }
}

fn is_reachable_v4(address: Ipv4Addr) -> bool {
    // All of 0.0.0.0/8 is "this host" (RFC 6890).
    !(address.octets()[0] == 0 || address.is_loopback() || address.is_multicast() || address.is_broadcast())
}

fn is_reachable_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // ::/96 holds ::, ::1 and the IPv4-compatible addresses of old; ::ffff:0:0/96 the IPv4-mapped ones.
    let holds_v4 = segments[..5] == [0; 5] && matches!(segments[5], 0 | 0xffff);
    !(holds_v4 || address.is_multicast() || address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_host_or_nobody_is_not_reachable() {
        for no in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.0.9",
            "224.0.0.251",
            "239.1.2.3",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:192.0.2.1",
            "ff02::fb",
            "fe80::1",
        ] {
            assert!(!is_reachable(no.parse().unwrap()), "{no}");
        }
        for yes in [
            "192.0.2.1",
            "10.0.0.1",
            "169.254.169.254",
            "198.51.100.255",
            "2001:db8::1",
            "fd00::1",
            "64:ff9b::1",
        ] {
            assert!(is_reachable(yes.parse().unwrap()), "{yes}");
        }
    }
}
