//! Which IDs the new user namespace gets.

use crate::subid::{self, Kind, Range};
use crate::{Result, User};
use model::{IdMap, IdRange};
use std::fs;

/// How many subordinate IDs images commonly need.
const USUAL: u64 = 65_536;

/// The maps to write, and who may write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapping {
    /// The caller as root and subordinate IDs from 1 on, by newuidmap(1) and newgidmap(1).
    Subordinate { uids: IdMap, gids: IdMap },
    /// The caller as root, and nobody else; setgroups(2) is denied (user_namespaces(7)).
    Single { uids: IdMap, gids: IdMap },
    /// The caller is root of a user namespace already and passes on all it has.
    Inherited { uids: IdMap, gids: IdMap },
}

impl Mapping {
    pub fn uids(&self) -> &IdMap {
        match self {
            Self::Subordinate { uids, .. } | Self::Single { uids, .. } | Self::Inherited { uids, .. } => uids,
        }
    }

    pub fn gids(&self) -> &IdMap {
        match self {
            Self::Subordinate { gids, .. } | Self::Single { gids, .. } | Self::Inherited { gids, .. } => gids,
        }
    }
}

/// Decide on the maps; the texts are warnings for the user.
pub fn plan(user: &User) -> Result<(Mapping, Vec<String>)> {
    if user.uid == 0 {
        let inherited = |path| fs::read_to_string(path).map_err(crate::Error::io("read", path));
        let uids = identity(&inherited("/proc/self/uid_map")?);
        let gids = identity(&inherited("/proc/self/gid_map")?);
        return Ok((Mapping::Inherited { uids, gids }, Vec::new()));
    }
    let uid_ranges = subid::ranges(Kind::Uid, user)?;
    let gid_ranges = subid::ranges(Kind::Gid, user)?;
    for (kind, ranges) in [(Kind::Uid, &uid_ranges), (Kind::Gid, &gid_ranges)] {
        if ranges.is_empty() {
            return Ok(single(kind, user));
        }
    }
    let mut warnings = Vec::new();
    for (kind, ranges) in [(Kind::Uid, &uid_ranges), (Kind::Gid, &gid_ranges)] {
        warnings.extend(complaints(kind, user, ranges));
    }
    let uids = with_subordinates(user.uid, &uid_ranges);
    let gids = with_subordinates(user.gid, &gid_ranges);
    Ok((Mapping::Subordinate { uids, gids }, warnings))
}

fn single(missing: Kind, user: &User) -> (Mapping, Vec<String>) {
    let error = crate::Error::NoSubordinateIds { kind: missing, uid: user.uid, name: user.name.clone() };
    let cost = format!(
        "{error}: running with a single mapped ID: images unpack with their files' owners kept in extended attributes only, \
         every file appears as root's, and containers cannot run as another user than root; to fix it, add \
         {}:START:65536 to /etc/subuid and /etc/subgid (sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {})",
        user.name, user.name
    );
    let (uids, gids) = (with_subordinates(user.uid, &[]), with_subordinates(user.gid, &[]));
    (Mapping::Single { uids, gids }, vec![cost])
}

fn complaints(kind: Kind, user: &User, ranges: &[Range]) -> Vec<String> {
    let mut texts = Vec::new();
    let total: u64 = ranges.iter().map(|r| u64::from(r.count)).sum();
    if total < USUAL {
        texts.push(format!(
            "only {total} subordinate IDs in {} for {}: images with higher IDs will fail with \"lchown <FILE>: invalid argument\"; \
             {USUAL} are enough for most",
            kind.file().display(),
            user.name
        ));
    }
    for (owner, range) in subid::overlaps(kind, user, ranges) {
        texts.push(format!(
            "{}: the range {}:{} of {owner} overlaps that of {}: both users can reach each other's containers",
            kind.file().display(),
            range.start,
            range.count,
            user.name
        ));
    }
    texts
}

fn with_subordinates(own: u32, ranges: &[Range]) -> IdMap {
    let mut map = vec![IdRange { inside: 0, outside: own, count: 1 }];
    let mut inside = 1u32;
    for range in ranges {
        // An own ID inside one of its ranges would be mapped twice; the kernel refuses that.
        let contains_own = (range.start..range.start.saturating_add(range.count)).contains(&own);
        let Some(next) = inside.checked_add(range.count).filter(|_| !contains_own) else { continue };
        map.push(IdRange { inside, outside: range.start, count: range.count });
        inside = next;
    }
    IdMap(map)
}

/// What /proc/self/uid_map says is mapped, each ID to itself.
fn identity(text: &str) -> IdMap {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (inside, count) = (words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?);
        Some(IdRange { inside, outside: inside, count })
    };
    IdMap(text.lines().filter_map(line).collect())
}

/// The text that `/proc/PID/uid_map` takes.
pub(crate) fn text(map: &IdMap) -> String {
    map.0.iter().map(|r| format!("{} {} {}\n", r.inside, r.outside, r.count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &[(u32, u32)]) -> String {
        let ranges: Vec<Range> =
            ranges.iter().map(|(start, count)| Range { start: *start, count: *count }).collect();
        text(&with_subordinates(1001, &ranges))
    }

    #[test]
    fn ranges_follow_the_own_id_in_order() {
        assert_eq!(map(&[]), "0 1001 1\n");
        assert_eq!(map(&[(231_072, 65_536), (9, 5)]), "0 1001 1\n1 231072 65536\n65537 9 5\n");
        assert_eq!(
            map(&[(1000, 10), (50, 5)]),
            "0 1001 1\n1 50 5\n",
            "a range that holds the own ID is left out"
        );
    }

    #[test]
    fn an_inherited_map_is_the_identity() {
        assert_eq!(
            text(&identity("         0       1001          1\n         1     231072      65536\n")),
            "0 0 1\n1 1 65536\n"
        );
    }
}
