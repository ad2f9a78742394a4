//! Which way a connection goes.

use crate::{address, policy::Policy};
use std::net::SocketAddr;

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of the container's network namespace.
    Container,
    /// One of the host's: put there by us, before.
    Host,
    /// One of a namespace that the container has made, or was given.
    Elsewhere,
}

/// What a socket is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// A stream socket of TCP.
    pub tcp: bool,
    pub place: Place,
    /// Neither connected, nor about to be, nor listening.
    pub closed: bool,
    /// To an address, a port or a device.
    pub bound: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The kernel carries it out with the socket that is there, or says why not.
    Ordinary,
    /// By a socket of the host's.
    Outside(SocketAddr),
    /// A socket of the host's is to be used for what only the container's own interfaces lead to.
    Nowhere,
}

/// Decides about connecting the socket to `address`; none when it is not one of the internet.
pub(crate) fn verdict(facts: Facts, address: Option<SocketAddr>, policy: &Policy) -> Verdict {
    let Some(address) = address.filter(|address| address.port() != 0) else { return Verdict::Ordinary };
    if !facts.tcp || !facts.closed {
        return Verdict::Ordinary;
    }
    let allowed = policy.allows(address::destination(&address));
    match (facts.place, allowed) {
        // A program that asked for its own address gets it.
        (Place::Container, true) if !facts.bound => Verdict::Outside(address),
        (Place::Container | Place::Elsewhere, _) => Verdict::Ordinary,
        (Place::Host, true) => Verdict::Outside(address),
        (Place::Host, false) => Verdict::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Facts = Facts { tcp: true, place: Place::Container, closed: true, bound: false };

    fn of(facts: Facts, address: &str) -> Verdict {
        let inside = vec!["172.17.0.0/16".parse().unwrap()];
        let policy = Policy { netns: 1, v4: true, v6: false, inside };
        verdict(facts, Some(address.parse().unwrap()), &policy)
    }

    #[test]
    fn only_a_fresh_socket_of_the_containers_own_goes_outside_and_only_where_it_may() {
        let far = "192.0.2.1:80";
        assert_eq!(of(FRESH, far), Verdict::Outside(far.parse().unwrap()));
        let mapped = "[::ffff:192.0.2.1]:80";
        assert_eq!(of(FRESH, mapped), Verdict::Outside(mapped.parse().unwrap()));
        for near in [
            "172.17.0.3:80",
            "127.0.0.1:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[2001:db8::1]:80",
            "192.0.2.1:0",
        ] {
            assert_eq!(of(FRESH, near), Verdict::Ordinary, "{near}");
        }
        for other in [
            Facts { tcp: false, ..FRESH },
            Facts { place: Place::Elsewhere, ..FRESH },
            Facts { closed: false, ..FRESH },
            Facts { bound: true, ..FRESH },
        ] {
            assert_eq!(of(other, far), Verdict::Ordinary, "{other:?}");
        }
        assert_eq!(verdict(FRESH, None, &Policy { v4: true, ..Policy::default() }), Verdict::Ordinary);
    }

    #[test]
    fn a_socket_of_the_hosts_is_connected_anew_or_not_at_all() {
        let host = Facts { place: Place::Host, bound: true, ..FRESH };
        assert_eq!(of(host, "192.0.2.1:80"), Verdict::Outside("192.0.2.1:80".parse().unwrap()));
        assert_eq!(of(host, "172.17.0.3:80"), Verdict::Nowhere);
        assert_eq!(of(host, "127.0.0.1:80"), Verdict::Nowhere);
        // The kernel's own words for one that is connected: EISCONN, EALREADY.
        assert_eq!(of(Facts { closed: false, ..host }, "192.0.2.1:80"), Verdict::Ordinary);
    }
}
