//! Which port of the host a container's connection comes from.
//!
//! As a rule the kernel's choice: it shares a port among connections to different destinations. But a connection that this
//! side ends first occupies its port towards its destination for another minute (TIME_WAIT, RFC 9293 3.3.2). A container
//! that makes many short ones to one server fills half of the ports of `ip_local_port_range` with those; from then on the
//! kernel looks through all of them at every connect(2), a millisecond of processor time each, and in the end there is none.
//! A port that was bound by name is taken over from TIME_WAIT at once where both sides use timestamps
//! (`tcp_twsk_unique()`), as all do. So what exceeds a share of the range within a minute gets a port from a small part of it, in
//! turn. A small part, because the kernel gives no port that is bound to anyone else.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::SocketAddr,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/// `TCP_TIMEWAIT_LEN`.
const PERIOD: Duration = Duration::from_secs(60);
/// The part of the range that one destination may use up, and the part that is kept for what exceeds it.
const SHARE: usize = 8;
const KEPT: usize = 16;
/// Ports that are tried before the kernel is asked after all.
const TRIES: usize = 4;
/// Ports that are tried when the kernel has none.
const LAST_TRIES: usize = 64;
/// Destinations that are counted; a container that scans a network exceeds nobody's share.
const MAX_DESTINATIONS: usize = 4096;

#[derive(Debug)]
pub(crate) struct SourcePorts {
    /// In an order that nobody outside can know.
    kept: Vec<u16>,
    next: usize,
    share: usize,
    since: Option<Instant>,
    counts: HashMap<SocketAddr, usize>,
}

impl SourcePorts {
    /// For the network namespace of the calling thread.
    pub(crate) fn of_the_host() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        // A host that hides its settings has the kernel's defaults (ip-sysctl.rst).
        let range = parse_range(&read(RANGE)).unwrap_or(32_768..=60_999);
        Self::new(range, &parse_reserved(&read(RESERVED)))
    }

    fn new(range: RangeInclusive<u16>, reserved: &[RangeInclusive<u16>]) -> Self {
        let length = range.len();
        let free = |port: &u16| !reserved.iter().any(|range| range.contains(port));
        let mut kept: Vec<u16> = range.rev().filter(free).take(length / KEPT).collect();
        let order = RandomState::new();
        kept.sort_by_cached_key(|port| order.hash_one(port));
        Self { kept, next: 0, share: length / SHARE, since: None, counts: HashMap::new() }
    }

    /// Ports to try for another connection to `target` before the kernel is asked for one: none as long as it has some.
    pub(crate) fn choose(&mut self, target: SocketAddr, now: Instant) -> Vec<u16> {
        if self.since.is_none_or(|since| now.duration_since(since) >= PERIOD) {
            self.since = Some(now);
            // One that is above its share stays there, or each period would begin with an expensive share.
            let share = self.share;
            self.counts.retain(|_, count| std::mem::replace(count, share) > share);
        }
        if self.counts.len() >= MAX_DESTINATIONS && !self.counts.contains_key(&target) {
            return Vec::new();
        }
        let count = self.counts.entry(target).or_default();
        *count += 1;
        if *count <= self.share || self.kept.is_empty() {
            return Vec::new();
        }
        let first = self.next;
        self.next = (first + 1) % self.kept.len();
        self.kept.iter().cycle().skip(first).take(TRIES).copied().collect()
    }

    /// Ports to try when the kernel has none.
    pub(crate) fn last_resort(&self) -> Vec<u16> {
        let tries = self.kept.len().min(LAST_TRIES);
        self.kept.iter().cycle().skip(self.next).take(tries).copied().collect()
    }
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first <= last => Some(first..=last),
        _ => None,
    }
}

/// `8080,9148-9200` (ip-sysctl.rst).
fn parse_reserved(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 80).into()
    }

    #[test]
    fn what_exceeds_a_destinations_share_gets_kept_ports_in_turn() {
        let mut ports = SourcePorts::new(40_000..=40_159, &[40_158..=40_159]);
        let now = Instant::now();
        for _ in 0..20 {
            assert!(ports.choose(address(1), now).is_empty());
        }
        let mut chosen: Vec<u16> = (0..10).flat_map(|_| ports.choose(address(1), now)).collect();
        assert_eq!(chosen.len(), 10 * TRIES);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen, (40_148..=40_157).collect::<Vec<u16>>(), "all of the kept, none of the reserved");
        let mut last = ports.last_resort();
        last.sort_unstable();
        assert_eq!(last, chosen);
        assert!(ports.choose(address(2), now).is_empty(), "each destination has its own share");
        assert!(!ports.choose(address(1), now + PERIOD).is_empty(), "the busy stay where they are");
        assert!(ports.choose(address(2), now + PERIOD).is_empty());
    }

    #[test]
    fn a_scan_is_not_counted_for_ever() {
        let mut ports = SourcePorts::new(40_000..=40_159, &[]);
        let now = Instant::now();
        for port in 1..=u16::MAX {
            ports.choose(SocketAddr::new([192, 0, 2, 1].into(), port), now);
        }
        assert_eq!(ports.counts.len(), MAX_DESTINATIONS);
        ports.choose(address(9), now + PERIOD);
        assert_eq!(ports.counts.len(), 1);
    }

    #[test]
    fn the_kernels_words_are_read() {
        assert_eq!(parse_range("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(parse_range("9 1"), None);
        assert_eq!(parse_range(""), None);
        assert_eq!(parse_reserved("8080,9148-9200\n"), [8080..=8080, 9148..=9200]);
        assert_eq!(parse_reserved("\n"), []);
    }
}
