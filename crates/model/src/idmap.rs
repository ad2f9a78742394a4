//! User and group IDs on both sides of a user namespace, and the maps between them (user_namespaces(7)).

use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);
    };
}

id_type!(HostUid, "A user ID as the host's initial user namespace (the engine's parent) sees it.");
id_type!(HostGid, "A group ID as the host's initial user namespace (the engine's parent) sees it.");
id_type!(ContainerUid, "A user ID as processes inside the engine's namespace and its containers see it.");
id_type!(ContainerGid, "A group ID as processes inside the engine's namespace and its containers see it.");

/// One line of `/proc/PID/uid_map`: `count` IDs from `inside` map to `count` IDs from `outside`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// The map of one kind of ID, in the order it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdMap(pub Vec<IdRange>);

impl IdMap {
    /// The ID outside that `inside` maps to, or none when it is unmapped (EINVAL from chown(2)).
    pub fn to_outside(&self, inside: u32) -> Option<u32> {
        self.0
            .iter()
            .find_map(|r| inside.checked_sub(r.inside).filter(|d| *d < r.count).map(|d| r.outside + d))
    }

    /// The ID inside that `outside` appears as, or none (it appears as the overflow ID 65534).
    pub fn to_inside(&self, outside: u32) -> Option<u32> {
        self.0
            .iter()
            .find_map(|r| outside.checked_sub(r.outside).filter(|d| *d < r.count).map(|d| r.inside + d))
    }

    /// How many IDs exist inside.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|r| u64::from(r.count)).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_map_both_ways_and_not_beyond() {
        let map = IdMap(vec![
            IdRange { inside: 0, outside: 1001, count: 1 },
            IdRange { inside: 1, outside: 231_072, count: 65_536 },
        ]);
        assert_eq!(map.len(), 65_537);
        assert_eq!(map.to_outside(0), Some(1001));
        assert_eq!(map.to_outside(65_536), Some(231_072 + 65_535));
        assert_eq!(map.to_outside(65_537), None);
        assert_eq!(map.to_inside(231_072), Some(1));
        assert_eq!(map.to_inside(1000), None);
    }
}
