//! The host's own name server, for containers that ask where it cannot be reached by its address.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How old what was read may be: the file changes with the network that the host is on.
const FRESH: Duration = Duration::from_secs(2);

/// The first name server of the host, read again as its file changes.
#[derive(Debug, Default)]
pub(crate) struct HostResolver {
    known: Option<(Instant, Option<IpAddr>)>,
}

impl HostResolver {
    pub(crate) fn first(&mut self) -> Option<IpAddr> {
        match self.known {
            Some((read, address)) if read.elapsed() < FRESH => address,
            _ => {
                let address = first_of(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default());
                self.known = Some((Instant::now(), address));
                address
            }
        }
    }
}

/// resolv.conf(5): the first `nameserver` that is an address.
fn first_of(text: &str) -> Option<IpAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|rest| rest.trim().parse().ok()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_counts() {
        let text = "# comment\nsearch example.org\nnameserver fe80::1%eth0\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n";
        assert_eq!(first_of(text), Some([127, 0, 0, 53].into()));
        assert_eq!(first_of("options edns0\n"), None);
    }
}
