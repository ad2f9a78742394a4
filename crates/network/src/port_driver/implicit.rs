//! pasta(1)'s own port forwarding (`-t auto`): once a second it looks which ports are listened on in the router namespace,
//! and listens on the same ones of the host's, on all its addresses.
//!
//! Clients on the host's loopback are led to the loopback there, others to the tap's address. So a port published on
//! 127.0.0.1 is listened on at 127.0.0.1 of the router namespace, and is refused to everyone else.
//!
//! Neither whether pasta could bind a port nor whether it has done so yet can be asked; so a port is tried first, and then
//! looked for among the host's sockets.

use super::bind;
use netd::proto::{Listen, Protocol};
use rustix::io::Errno;
use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Several of its rounds.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// How a listening TCP socket and an unconnected UDP socket are marked in `/proc/net` (include/net/tcp_states.h).
const TCP_LISTEN: &str = "0A";
const UDP_UNCONNECTED: &str = "07";

#[derive(Default)]
pub(super) struct Implicit {
    /// Ports that are no longer published, which pasta holds for up to a second more.
    lost: Mutex<BTreeMap<Listen, Instant>>,
}

/// Whether pasta can lead this port.
pub(super) fn finds(listen: &Listen) -> bool {
    let ip = listen.address.ip();
    (ip == Ipv4Addr::UNSPECIFIED || ip == Ipv4Addr::LOCALHOST) && listen.protocol != Protocol::Sctp
}

impl Implicit {
    pub(super) fn lose(&self, listen: Listen) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.retain(|_, since| since.elapsed() < PATIENCE);
        lost.insert(listen, Instant::now());
    }

    /// Whether pasta will be able to bind the port. What it holds from before, it is given time to let go of.
    pub(super) fn try_bind(&self, listen: Listen) -> Result<(), Errno> {
        let port = |l: &Listen| (l.protocol, l.address.port());
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let since = lost.iter().filter(|(l, _)| port(l) == port(&listen)).map(|(_, since)| *since).max();
        // pasta binds every address.
        let everywhere = Listen { address: (Ipv4Addr::UNSPECIFIED, listen.address.port()).into(), ..listen };
        loop {
            match bind(everywhere) {
                Err(Errno::ADDRINUSE) if since.is_some_and(|since| since.elapsed() < PATIENCE) => {
                    thread::sleep(PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits until pasta has found a listener in the router namespace.
    pub(super) fn wait_found(&self, listen: Listen) -> io::Result<()> {
        // Those of IPv6 are the forwarder's.
        let (table, state) = match listen.protocol {
            Protocol::Udp => ("/proc/self/net/udp", UDP_UNCONNECTED),
            _ => ("/proc/self/net/tcp", TCP_LISTEN),
        };
        let end = Instant::now() + PATIENCE;
        loop {
            if has(&std::fs::read_to_string(table)?, listen.address.port(), state) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(Errno::TIMEDOUT.into());
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Whether a table of sockets (proc_pid_net(5)) has one at this port in this state.
fn has(table: &str, port: u16, state: &str) -> bool {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&suffix)) && fields.nth(1) == Some(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000\n   \
                     1: 0100007F:0050 0100007F:1F91 01 00000000:00000000 00:00000000 00000000  1000\n";
        assert!(has(table, 8080, TCP_LISTEN));
        assert!(!has(table, 80, TCP_LISTEN), "a connection");
        assert!(!has(table, 8081, TCP_LISTEN), "the other end of one");
    }

    #[test]
    fn what_pasta_cannot_express_is_left_to_the_forwarder() {
        let at = |protocol, address: &str| Listen { protocol, address: address.parse().unwrap() };
        assert!(finds(&at(Protocol::Tcp, "0.0.0.0:80")) && finds(&at(Protocol::Udp, "127.0.0.1:80")));
        assert!(!finds(&at(Protocol::Tcp, "127.0.0.2:80")) && !finds(&at(Protocol::Tcp, "[::]:80")));
    }
}
