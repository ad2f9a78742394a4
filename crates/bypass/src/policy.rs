//! Where a container may go by sockets of the host's.
//!
//! The engine writes it, the supervisor reads it: one file a container, replaced as a whole whenever its networks change.
//! What the file does not allow goes the ordinary way, where the router decides.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The container's network namespace, by its inode number. Sockets of others, which a process of the container may
    /// have made, are none of ours.
    pub netns: u64,
    /// Whether the container has a way out by IPv4, and by IPv6: never on internal networks, or without any.
    pub v4: bool,
    pub v6: bool,
    /// What is reached by the container's own interfaces only: the engine's networks and the addresses that stand for
    /// the host, and what the user excepts.
    pub inside: Vec<IpNet>,
}

impl Policy {
    /// Whether a connection to `destination` (a canonical address) leaves by the host.
    pub fn allows(&self, destination: IpAddr) -> bool {
        let family = if destination.is_ipv4() { self.v4 } else { self.v6 };
        family
            && netstack::destination::is_reachable(destination)
            && !is_link_local(destination)
            && !self.inside.iter().any(|net| net.contains(&destination))
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("new");
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::rename(temporary, path)
    }
}

/// Whose link that is differs between the container and the host. (A cloud's metadata service, at 169.254.169.254, is on
/// the host's: it stays as far away as the ordinary way keeps it.)
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// The file, as it was when it was last read.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    seen: Option<(u64, SystemTime)>,
    policy: Policy,
}

impl File {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None, policy: Policy::default() }
    }

    /// What it says now. A file that is not there, or is not understood, allows nothing.
    pub(crate) fn read(&mut self) -> &Policy {
        let identity = |m: fs::Metadata| m.modified().ok().map(|at| (m.ino(), at));
        let now = fs::metadata(&self.path).ok().and_then(identity);
        if now.is_none() {
            self.policy = Policy::default();
        } else if now != self.seen {
            let read = fs::read(&self.path).map_err(|e| e.to_string());
            let parsed = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
            self.policy = parsed.unwrap_or_else(|error| {
                eprintln!("lichen-shim bypass: read {}: {error}", self.path.display());
                Policy::default()
            });
        }
        self.seen = now;
        &self.policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let inside = ["172.17.0.0/16", "10.0.2.0/24", "fd00:1::/64"].map(|net| net.parse().unwrap());
        Policy { netns: 1, v4: true, v6: true, inside: inside.into() }
    }

    #[test]
    fn the_world_is_allowed_and_what_is_near_is_not() {
        let allows = |text: &str| policy().allows(text.parse().unwrap());
        for yes in ["192.0.2.7", "10.1.2.3", "8.8.8.8", "172.18.0.2", "2001:db8::1", "fd00:2::1"] {
            assert!(allows(yes), "{yes}");
        }
        for no in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "169.254.169.254",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:192.0.2.7",
            "fe80::1",
            "ff02::1",
            "172.17.0.2",
            "10.0.2.2",
            "fd00:1::9",
        ] {
            assert!(!allows(no), "{no}");
        }
    }

    #[test]
    fn without_a_way_out_nothing_is_allowed() {
        for (v4, v6) in [(false, true), (true, false), (false, false)] {
            let policy = Policy { v4, v6, ..policy() };
            assert_eq!(policy.allows("192.0.2.7".parse().unwrap()), v4);
            assert_eq!(policy.allows("2001:db8::1".parse().unwrap()), v6);
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_was_replaced_and_forbids_all_when_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy");
        let mut file = File::new(path.clone());
        assert_eq!(file.read(), &Policy::default());
        policy().write(&path).unwrap();
        assert_eq!(file.read(), &policy());
        let other = Policy { v4: false, ..policy() };
        other.write(&path).unwrap();
        assert_eq!(file.read(), &other);
        fs::write(directory.path().join("bad"), "{\"v4\":true").unwrap();
        fs::rename(directory.path().join("bad"), &path).unwrap();
        assert_eq!(file.read(), &Policy::default());
        policy().write(&path).unwrap();
        assert_eq!(file.read(), &policy());
        fs::remove_file(&path).unwrap();
        assert_eq!(file.read(), &Policy::default());
    }
}
