//! So much for all, and at most a quarter of it for each container.

use std::{collections::HashMap, net::IpAddr};

/// Counts what each address holds.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: usize,
    held: usize,
    by: HashMap<IpAddr, usize>,
}

/// Why nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// The address has its share.
    Share,
    /// All together have everything.
    All,
}

impl Quota {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: 0, by: HashMap::new() }
    }

    /// Whether `address` may have one more.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Exceeded> {
        if self.by.get(&address).copied().unwrap_or(0) >= self.limit / 4 {
            return Err(Exceeded::Share);
        }
        if self.held >= self.limit { Err(Exceeded::All) } else { Ok(()) }
    }

    pub(crate) fn take(&mut self, address: IpAddr) {
        self.held += 1;
        *self.by.entry(address).or_default() += 1;
    }

    pub(crate) fn give_back(&mut self, address: IpAddr) {
        if let Some(count) = self.by.get_mut(&address) {
            self.held -= 1;
            *count -= 1;
            if *count == 0 {
                self.by.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_quarter_and_all_have_the_whole() {
        let mut quota = Quota::new(8);
        let address = |last: u8| IpAddr::from([172, 17, 0, last]);
        for last in [1, 1, 2, 2, 3, 3, 4] {
            assert_eq!(quota.check(address(last)), Ok(()));
            quota.take(address(last));
        }
        assert_eq!(quota.check(address(1)), Err(Exceeded::Share));
        quota.take(address(4));
        assert_eq!(quota.check(address(5)), Err(Exceeded::All));
        quota.give_back(address(1));
        assert_eq!(quota.check(address(1)), Ok(()));
        assert_eq!(quota.check(address(5)), Ok(()));
        quota.give_back(address(9));
        assert_eq!(quota.held, 7);
    }
}
