//! Subnets for networks that name none: cut one after another out of the default address pools.

use crate::{
    config::AddressPool,
    error::{Error, Result},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Docker's pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in steps of /20 (moby
/// `libnetwork/ipamutils`).
pub fn docker_defaults() -> Vec<AddressPool> {
    let pool = |a, b, prefix, size| AddressPool {
        base: Ipv4Net::new(Ipv4Addr::new(a, b, 0, 0), prefix).expect("a prefix length below 33").into(),
        size,
    };
    vec![
        pool(172, 17, 16, 16),
        pool(172, 18, 16, 16),
        pool(172, 19, 16, 16),
        pool(172, 20, 14, 16),
        pool(172, 24, 14, 16),
        pool(172, 28, 14, 16),
        pool(192, 168, 16, 20),
    ]
}

/// The first subnet of `pools` in the family of `v6` that overlaps none of `taken`.
///
/// # Errors
/// [`Error::PoolsExhausted`], also when the pools hold nothing of that family.
pub(crate) fn choose(pools: &[AddressPool], v6: bool, taken: &[IpNet]) -> Result<IpNet> {
    pools
        .iter()
        .filter(|pool| pool.base.addr().is_ipv6() == v6)
        .find_map(|pool| first_free(*pool, taken))
        .ok_or(Error::PoolsExhausted)
}

/// Steps over whole blocks of taken addresses, so that a /8 cut into /28 is not walked one by one.
fn first_free(pool: AddressPool, taken: &[IpNet]) -> Option<IpNet> {
    let mut candidate = IpNet::new(pool.base.network(), pool.size).ok()?;
    if pool.size < pool.base.prefix_len() {
        return None;
    }
    while pool.base.contains(&candidate) {
        match taken.iter().filter(|t| overlap(t, &candidate)).map(IpNet::broadcast).max() {
            None => return Some(candidate),
            Some(end) => candidate = block_after(candidate, end.max(candidate.broadcast()))?,
        }
    }
    None
}

/// The block of `like`'s size that starts after `end`; none past the end of all addresses.
fn block_after(like: IpNet, end: std::net::IpAddr) -> Option<IpNet> {
    let size = like.prefix_len();
    let next = match end {
        std::net::IpAddr::V4(end) => Ipv4Addr::from(u32::from(end).checked_add(1)?).into(),
        std::net::IpAddr::V6(end) => Ipv6Addr::from(u128::from(end).checked_add(1)?).into(),
    };
    let block = IpNet::new(next, size).ok()?.trunc();
    // An end inside a block (a taken subnet smaller than the step) means the block after that one.
    if block.addr() == next { Some(block) } else { block_after(like, block.broadcast()) }
}

/// Whether two subnets share an address.
pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// A /48 of unique local addresses (RFC 4193) for this engine, cut into /64s: its 40 bits come from `seed`.
pub(crate) fn unique_local(seed: [u8; 5]) -> AddressPool {
    let [a, b, c, d, e] = seed;
    let word = |high, low| u16::from_be_bytes([high, low]);
    let base = Ipv6Addr::new(word(0xfd, a), word(b, c), word(d, e), 0, 0, 0, 0, 0);
    AddressPool { base: Ipv6Net::new(base, 48).expect("a prefix length below 129").into(), size: 64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn networks_follow_each_other_as_in_docker() {
        let pools = docker_defaults();
        let mut taken = Vec::new();
        for _ in 0..31 {
            taken.push(choose(&pools, false, &taken).unwrap());
        }
        assert_eq!(taken[0], net("172.17.0.0/16"));
        assert_eq!(taken[14], net("172.31.0.0/16"));
        assert_eq!(taken[15], net("192.168.0.0/20"));
        assert_eq!(taken[30], net("192.168.240.0/20"));
        assert!(matches!(choose(&pools, false, &taken), Err(Error::PoolsExhausted)));
    }

    #[test]
    fn small_and_large_foreign_subnets_are_stepped_over() {
        let pools = [AddressPool { base: net("10.0.0.0/8"), size: 24 }];
        assert_eq!(choose(&pools, false, &[net("10.0.0.128/25")]).unwrap(), net("10.0.1.0/24"));
        assert_eq!(choose(&pools, false, &[net("10.0.0.0/9")]).unwrap(), net("10.128.0.0/24"));
        assert!(choose(&pools, false, &[net("0.0.0.0/0")]).is_err());
        assert!(choose(&pools, true, &[]).is_err());
    }

    proptest! {
        #[test]
        fn a_chosen_subnet_overlaps_none(raw in proptest::collection::vec((any::<u32>(), 8u8..=30), 0..12), size in 12u8..=28) {
            let taken: Vec<IpNet> =
                raw.iter().map(|(a, p)| IpNet::new(Ipv4Addr::from(*a & 0x0fff_ffff | 0x0a00_0000).into(), *p).unwrap().trunc()).collect();
            let pools = [AddressPool { base: net("10.0.0.0/10"), size: size.max(10) }];
            if let Ok(found) = choose(&pools, false, &taken) {
                prop_assert!(taken.iter().all(|t| !overlap(t, &found)));
                prop_assert!(pools[0].base.contains(&found));
            }
        }
    }
}
