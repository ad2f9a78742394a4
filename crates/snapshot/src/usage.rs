//! How much a tree holds.

use crate::Usage;
use archive::{at, walk::Walk};
use rustix::fs::FileType;
use std::{collections::HashSet, io, os::fd::BorrowedFd};

/// Sums the regular files below `root`, each once however many links it has; whiteouts and the root itself count
/// nothing.
pub fn of_tree(root: BorrowedFd<'_>) -> io::Result<Usage> {
    let mut usage = Usage::default();
    let mut linked = HashSet::new();
    let mut walk = Walk::new(root)?;
    while let Some(found) = walk.next_found()? {
        let (kind, stat) = (found.kind(), found.stat);
        if at::is_whiteout(&stat)
            || (kind != FileType::Directory && stat.st_nlink > 1 && !linked.insert(stat.st_ino))
        {
            continue;
        }
        usage.inodes += 1;
        match kind {
            FileType::RegularFile => usage.bytes += u64::try_from(stat.st_size).unwrap_or_default(),
            FileType::Directory => walk.enter()?,
            _ => {}
        }
    }
    Ok(usage)
}
