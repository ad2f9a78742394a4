//! The sockets of the resolvers, and what they answer themselves.

use super::{
    client::Clients,
    host::HostServers,
    message::{self, Code, Kind, Query},
    upstream::{Asker, Question},
};
use crate::{
    control::Passed,
    poll::Token,
    proto::{Protocol, Resolver},
    server::Server,
    slab::Key,
    socket::{self, Family},
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recvfrom, sendto},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    thread,
};

/// Where containers ask, at any free port.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 0);

/// What all resolvers share.
pub(crate) struct Dns {
    pub clients: Clients,
    pub host: HostServers,
}

impl Dns {
    pub(crate) fn new() -> Self {
        Self { clients: Clients::default(), host: HostServers::new("/etc/resolv.conf") }
    }
}

/// One container's resolver.
pub(crate) struct Running {
    pub config: Resolver,
    udp: OwnedFd,
    pub tcp: OwnedFd,
    /// The ports of the two.
    ports: (u16, u16),
}

/// The two sockets, made by a thread that joined the container's namespace.
fn open_sockets(namespace: &OwnedFd) -> Result<(OwnedFd, OwnedFd), Errno> {
    let open = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let sockets = [Protocol::Udp, Protocol::Tcp].map(|protocol| {
            let socket = socket::new(protocol, Family::V4)?;
            rustix::net::bind(&socket, &ADDRESS)?;
            Ok(socket)
        });
        let [udp, tcp] = sockets;
        let (udp, tcp) = (udp?, tcp?);
        rustix::net::listen(&tcp, 64)?;
        Ok((udp, tcp))
    };
    thread::scope(|scope| scope.spawn(open).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Server {
    /// Starts a container's resolver, or changes what it knows.
    pub(crate) fn resolve(
        &mut self,
        config: Resolver,
        passed: &mut Passed,
    ) -> Result<(u16, u16), socket::Failure> {
        if let Some(running) =
            self.resolver_of.get(&config.container).and_then(|key| self.resolvers.get_mut(*key))
        {
            running.config = config;
            return Ok(running.ports);
        }
        let namespace = passed.take().map_err(|errno| ("receive the namespace", errno))?;
        let (udp, tcp) = open_sockets(&namespace).map_err(|e| ("bind the resolver's sockets", e))?;
        let port = |socket: &OwnedFd| {
            let address = rustix::net::getsockname(socket).map_err(|e| ("getsockname", e))?;
            Ok(socket::internet(address).map_or(0, |address| address.port()))
        };
        let ports = (port(&udp)?, port(&tcp)?);
        let container = config.container.clone();
        let key = self.resolvers.insert(Running { config, udp, tcp, ports });
        let running = self.resolvers.get_mut(key).expect("just inserted");
        let added = self
            .poll
            .add_input(&running.udp, Token::Query(key))
            .and_then(|()| self.poll.add_input(&running.tcp, Token::QueryStream(key)));
        if let Err(errno) = added {
            self.resolvers.remove(key);
            return Err(("epoll_ctl", errno));
        }
        self.resolver_of.insert(container, key);
        Ok(ports)
    }

    pub(crate) fn unresolve(&mut self, container: &model::Id) {
        let Some(key) = self.resolver_of.remove(container) else { return };
        self.resolvers.remove(key);
        // Their sockets would keep the container's namespace alive.
        self.drop_query_clients(|client| client.resolver == key);
    }

    /// Queries of a container.
    pub(crate) fn take_queries(&mut self, key: Key) {
        for _ in Self::turn() {
            let Some(running) = self.resolvers.get_mut(key) else { return };
            let received = recvfrom(&running.udp, &mut self.scratch[..message::LARGEST], RecvFlags::empty());
            let (length, client) = match received {
                Ok((_, length, address)) => (length, address.and_then(socket::internet)),
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let request = self.scratch[..length].to_vec();
            if let Some(client) = client {
                self.take_query(key, request, Asker::Datagram(client));
            }
        }
    }

    /// Answers a query, or has it asked upstream. False when it is none.
    pub(crate) fn take_query(&mut self, key: Key, request: Vec<u8>, asker: Asker) -> bool {
        let Some(query) = message::parse(&request) else { return false };
        let limit = match asker {
            Asker::Datagram(_) => query.limit,
            Asker::Stream(_) => message::LARGEST,
        };
        match self.known(key, &request, &query, limit) {
            Some(reply) => self.reply(key, asker, &reply),
            None => self.ask_upstream(Question { resolver: key, asker, request, query }),
        }
        true
    }

    /// The answer to a query that is not to go upstream.
    fn known(&mut self, key: Key, request: &[u8], query: &Query, limit: usize) -> Option<Vec<u8>> {
        let Resolver { networks, links, ndots_chosen, .. } = &self.resolvers.get_mut(key)?.config;
        let name = links.get(&query.name).unwrap_or(&query.name);
        match query.kind {
            Kind::A | Kind::Aaaa => match self.zones.lookup(networks, name) {
                Some(mut found) => {
                    shuffle(&mut found);
                    Some(message::addresses(request, query, &found, limit))
                }
                None if *ndots_chosen && !query.name.contains('.') => {
                    Some(message::empty(request, query, Code::NoError))
                }
                None => None,
            },
            // Known, and no exchanger: mail goes to the address itself (RFC 5321, 5.1).
            Kind::Mx => {
                self.zones.lookup(networks, name).map(|_| message::empty(request, query, Code::NoError))
            }
            Kind::Ptr => {
                let name = self.zones.reverse(networks, message::reverse_name(&query.name)?)?;
                Some(message::pointer(request, query, &name))
            }
            Kind::Other => None,
        }
    }

    /// Sends a reply. A client that does not take its answer asks again.
    pub(crate) fn reply(&mut self, key: Key, asker: Asker, reply: &[u8]) {
        match asker {
            Asker::Stream(client) => self.reply_stream(client, reply),
            Asker::Datagram(client) => {
                if let Some(running) = self.resolvers.get_mut(key) {
                    sendto(&running.udp, reply, SendFlags::NOSIGNAL, &client).ok();
                }
            }
        }
    }
}

/// Any order, so that containers that share a name share its clients (Fisher and Yates).
fn shuffle(addresses: &mut [IpAddr]) {
    for last in (1..addresses.len()).rev() {
        let mut bytes = [0; 4];
        random(&mut bytes);
        addresses.swap(last, u32::from_ne_bytes(bytes) as usize % (last + 1));
    }
}

/// Fills a few `bytes` at random.
///
/// # Panics
/// Never: up to 256 bytes are given whole once the pool is ready, which it is long before containers are
/// (getrandom(2)). Going on without them would make queries guessable.
pub(crate) fn random(bytes: &mut [u8]) {
    rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty()).expect("a few random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_comes_first_sometimes() {
        let all: Vec<IpAddr> = (1..4).map(|n| Ipv4Addr::new(10, 0, 0, n).into()).collect();
        let mut first = std::collections::BTreeSet::new();
        // Missing one in 200 tries has a chance of 10⁻³⁵.
        for _ in 0..200 {
            let mut shuffled = all.clone();
            shuffle(&mut shuffled);
            first.insert(shuffled[0]);
            shuffled.sort_unstable();
            assert_eq!(shuffled, all);
        }
        assert_eq!(first.len(), all.len());
    }
}
