//! The host's own resolvers, as resolv.conf(5) names them at the moment: a laptop that changes networks changes them
//! while containers run.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How old what is known of the file may be: a name that fails to resolve is asked for again later than that.
const FRESH: Duration = Duration::from_secs(1);

/// Device, inode, size and modification time: a file that was replaced or rewritten has another.
type Stamp = (u64, u64, u64, i64, i64);

pub(crate) struct HostServers {
    path: PathBuf,
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    servers: Vec<IpAddr>,
}

impl HostServers {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), looked: None, stamp: None, servers: Vec::new() }
    }

    /// The servers, in the file's order. A file that cannot be read leaves what was known: it is replaced by renaming,
    /// and not always at once.
    pub(crate) fn current(&mut self, now: Instant) -> &[IpAddr] {
        if self.looked.is_none_or(|then| now.duration_since(then) >= FRESH) {
            self.looked = Some(now);
            self.look();
        }
        &self.servers
    }

    fn look(&mut self) {
        let Ok(found) = fs::metadata(&self.path) else { return };
        let stamp = (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec());
        if self.stamp == Some(stamp) {
            return;
        }
        if let Ok(text) = fs::read_to_string(&self.path) {
            self.stamp = Some(stamp);
            self.servers = nameservers(&text);
        }
    }
}

/// The addresses after `nameserver`. One with a zone (`fe80::1%eth0`) is left out: it means nothing here.
pub(crate) fn nameservers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_missing_one_changes_nothing() {
        let directory = std::env::temp_dir().join(format!("lichen-resolv-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("resolv.conf");
        fs::write(
            &path,
            "# by hand\nnameserver 192.0.2.1\nsearch a b\nnameserver fe80::1%eth0\nnameserver ::1\n",
        )
        .unwrap();
        let mut host = HostServers::new(&path);
        let began = Instant::now();
        let first: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(host.current(began), first);
        let new = directory.join("new");
        fs::write(&new, "nameserver 192.0.2.22\n").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(host.current(began), first, "looked at a moment ago");
        assert_eq!(host.current(began + FRESH), ["192.0.2.22".parse::<IpAddr>().unwrap()]);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(host.current(began + 2 * FRESH).len(), 1);
    }
}
