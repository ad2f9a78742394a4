//! Addresses of one subnet: the lowest free one, or the one asked for.
//!
//! Nothing of this is stored: which addresses are in use follows from the sandboxes, which are.

use crate::record::Pool;
use ipnet::IpNet;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The addresses of one [`Pool`] that are in use.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    subnet: IpNet,
    /// First and last address that may be given out unasked.
    first: u128,
    last: u128,
    used: BTreeSet<u128>,
}

/// Why an address cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// All are in use.
    Exhausted,
    /// That one is in use, or is the gateway's or an auxiliary one.
    InUse(IpAddr),
    /// That one is not in the subnet, or is its network or broadcast address.
    Outside(IpAddr),
}

impl Addresses {
    pub(crate) fn new(pool: &Pool) -> Self {
        let range = pool.ip_range.unwrap_or(pool.subnet);
        let (low, high) = usable(pool.subnet);
        let mut used: BTreeSet<u128> = pool.aux.values().copied().map(number).collect();
        used.extend(pool.gateway.map(number));
        Self {
            subnet: pool.subnet,
            first: low.max(number(range.network())),
            last: high.min(number(range.broadcast())),
            used,
        }
    }

    /// Takes `wanted`, which may lie outside the range, or the lowest free address of the range.
    pub(crate) fn take(&mut self, wanted: Option<IpAddr>) -> Result<IpAddr, Refusal> {
        let address = match wanted {
            Some(address) => self.wanted(address)?,
            None => self.lowest_free().ok_or(Refusal::Exhausted)?,
        };
        self.used.insert(address);
        Ok(self.address(address))
    }

    /// Gives an address back; one that is not in use stays so.
    pub(crate) fn release(&mut self, address: IpAddr) {
        self.used.remove(&number(address));
    }

    fn wanted(&self, address: IpAddr) -> Result<u128, Refusal> {
        let value = number(address);
        let (low, high) = usable(self.subnet);
        if !self.subnet.contains(&address) || value < low || value > high {
            Err(Refusal::Outside(address))
        } else if self.used.contains(&value) {
            Err(Refusal::InUse(address))
        } else {
            Ok(value)
        }
    }

    /// The used addresses are sorted: the first gap is where one is not the successor of the one before.
    fn lowest_free(&self) -> Option<u128> {
        let mut candidate = self.first;
        for used in self.used.range(self.first..) {
            if *used != candidate {
                break;
            }
            candidate = candidate.checked_add(1)?;
        }
        (candidate <= self.last).then_some(candidate)
    }

    fn address(&self, value: u128) -> IpAddr {
        match self.subnet {
            IpNet::V4(_) => Ipv4Addr::from(value as u32).into(),
            IpNet::V6(_) => Ipv6Addr::from(value).into(),
        }
    }
}

/// The gateway of a pool that names none: the first address of its range, or of its subnet.
pub(crate) fn default_gateway(subnet: IpNet, range: Option<IpNet>) -> Option<IpAddr> {
    let (low, high) = usable(subnet);
    let first = low.max(range.map_or(0, |r| number(r.network())));
    (first <= high).then(|| match subnet {
        IpNet::V4(_) => Ipv4Addr::from(first as u32).into(),
        IpNet::V6(_) => Ipv6Addr::from(first).into(),
    })
}

/// Whether an address of the subnet can be anybody's.
pub(crate) fn is_usable(subnet: IpNet, address: IpAddr) -> bool {
    let (low, high) = usable(subnet);
    (low..=high).contains(&number(address))
}

/// All but the network and, in IPv4, the broadcast address; point-to-point subnets have neither (RFC 3021, RFC 6164).
fn usable(subnet: IpNet) -> (u128, u128) {
    let (low, high) = (number(subnet.network()), number(subnet.broadcast()));
    match subnet {
        IpNet::V4(net) if net.prefix_len() < 31 => (low + 1, high - 1),
        IpNet::V6(net) if net.prefix_len() < 127 => (low + 1, high),
        _ => (low, high),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u32::from(a).into(),
        IpAddr::V6(a) => a.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn pool(subnet: &str, range: Option<&str>, gateway: &str, aux: &[&str]) -> Pool {
        Pool {
            subnet: subnet.parse().unwrap(),
            ip_range: range.map(|r| r.parse().unwrap()),
            gateway: Some(gateway.parse().unwrap()),
            aux: aux.iter().map(|a| (a.to_string(), a.parse().unwrap())).collect::<BTreeMap<_, _>>(),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_lowest_free_address_is_given_and_given_again() {
        let mut addresses = Addresses::new(&pool("172.17.0.0/16", None, "172.17.0.1", &["172.17.0.3"]));
        assert_eq!(addresses.take(None), Ok(ip("172.17.0.2")));
        assert_eq!(addresses.take(None), Ok(ip("172.17.0.4")));
        addresses.release(ip("172.17.0.2"));
        assert_eq!(addresses.take(None), Ok(ip("172.17.0.2")));
        assert_eq!(addresses.take(Some(ip("172.17.0.4"))), Err(Refusal::InUse(ip("172.17.0.4"))));
        assert_eq!(addresses.take(Some(ip("172.17.0.1"))), Err(Refusal::InUse(ip("172.17.0.1"))));
        assert_eq!(addresses.take(Some(ip("172.17.255.255"))), Err(Refusal::Outside(ip("172.17.255.255"))));
        assert_eq!(addresses.take(Some(ip("172.18.0.9"))), Err(Refusal::Outside(ip("172.18.0.9"))));
        assert_eq!(addresses.take(Some(ip("172.17.9.9"))), Ok(ip("172.17.9.9")));
    }

    #[test]
    fn a_range_bounds_what_is_given_unasked_only() {
        let mut addresses = Addresses::new(&pool("10.1.0.0/24", Some("10.1.0.8/30"), "10.1.0.8", &[]));
        assert_eq!(addresses.take(Some(ip("10.1.0.200"))), Ok(ip("10.1.0.200")));
        for last in 9..12 {
            assert_eq!(addresses.take(None), Ok(ip(&format!("10.1.0.{last}"))));
        }
        assert_eq!(addresses.take(None), Err(Refusal::Exhausted));
    }

    #[test]
    fn six_and_tiny_subnets() {
        let mut six = Addresses::new(&pool("fd00:1::/64", None, "fd00:1::1", &[]));
        assert_eq!(six.take(None), Ok(ip("fd00:1::2")));
        let mut two = Addresses::new(&pool("10.0.0.0/31", None, "10.0.0.0", &[]));
        assert_eq!(two.take(None), Ok(ip("10.0.0.1")));
        assert_eq!(two.take(None), Err(Refusal::Exhausted));
        assert_eq!(default_gateway("10.0.0.0/24".parse().unwrap(), None), Some(ip("10.0.0.1")));
        let range = Some("10.0.0.128/25".parse().unwrap());
        assert_eq!(default_gateway("10.0.0.0/24".parse().unwrap(), range), Some(ip("10.0.0.128")));
    }

    proptest! {
        /// Whatever is taken and released in whatever order: no address is out twice, and each is a usable one.
        #[test]
        fn no_address_is_out_twice(steps in proptest::collection::vec(any::<Option<u8>>(), 1..200)) {
            let pool = pool("10.9.0.0/27", None, "10.9.0.1", &["10.9.0.5"]);
            let mut addresses = Addresses::new(&pool);
            let mut out: Vec<IpAddr> = Vec::new();
            for step in steps {
                match step {
                    Some(which) if !out.is_empty() => {
                        addresses.release(out.remove(usize::from(which) % out.len()));
                    }
                    _ => match addresses.take(None) {
                        Ok(address) => {
                            prop_assert!(!out.contains(&address));
                            prop_assert!(pool.subnet.contains(&address) && Some(address) != pool.gateway);
                            out.push(address);
                        }
                        Err(refusal) => {
                            prop_assert_eq!(refusal, Refusal::Exhausted);
                            prop_assert_eq!(out.len(), 28);
                        }
                    },
                }
            }
        }
    }
}
