//! The sockets of the resolvers, and queries on their way upstream.

use super::message::{self, Code, Kind, Query};
use crate::{
    poll::Token,
    proto::{Protocol, Resolver, Upstream},
    server::Server,
    slab::Key,
    socket::{self, Family},
    tcp,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, SocketFlags, recv, recvfrom, send, sendto},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

/// Where containers ask, at any free port.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 0);

/// How long one server may take to answer; Docker's resolver waits 4 s, longer than many clients do.
const SERVER_PATIENCE: Duration = Duration::from_secs(2);
/// Queries on their way upstream, of all containers together.
const MAX_PENDING: usize = 1024;
const MAX_MESSAGE: usize = 65_535;

/// One container's resolver.
pub(crate) struct Running {
    pub config: Resolver,
    udp: OwnedFd,
    tcp: OwnedFd,
    /// The ports of the two.
    ports: (u16, u16),
}

/// A query that went upstream.
pub(crate) struct Pending {
    resolver: Key,
    client: SocketAddr,
    request: Vec<u8>,
    query: Query,
    /// Index of the server that was asked.
    server: usize,
    socket: OwnedFd,
    /// The ID it was asked with: guessing it and the port is what a forger has to do.
    id: u16,
    deadline: Instant,
}

impl Pending {
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline <= now
    }
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
        namespace: Option<OwnedFd>,
    ) -> Result<(u16, u16), socket::Failure> {
        if let Some(running) =
            self.resolver_of.get(&config.container).and_then(|key| self.resolvers.get_mut(*key))
        {
            running.config = config;
            return Ok(running.ports);
        }
        let namespace = namespace.ok_or(("receive the namespace", Errno::BADF))?;
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
        if let Some(key) = self.resolver_of.remove(container) {
            self.resolvers.remove(key);
        }
    }

    /// Queries of a container.
    pub(crate) fn take_queries(&mut self, key: Key) {
        for _ in Self::turn() {
            let Some(running) = self.resolvers.get_mut(key) else { return };
            let received = recvfrom(&running.udp, &mut self.scratch[..MAX_MESSAGE], RecvFlags::empty());
            let (length, client) = match received {
                Ok((_, length, address)) => (length, address.and_then(socket::internet)),
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let request = self.scratch[..length].to_vec();
            let (Some(client), Some(query)) = (client, message::parse(&request)) else { continue };
            match self.known(key, &request, &query) {
                Some(reply) => self.reply(key, client, &reply),
                None => self.ask_upstream(key, client, request, query, 0),
            }
        }
    }

    /// The answer to a query about containers of the asker's networks.
    fn known(&mut self, key: Key, request: &[u8], query: &Query) -> Option<Vec<u8>> {
        let Resolver { networks, links, .. } = &self.resolvers.get_mut(key)?.config;
        match query.kind {
            Kind::A | Kind::Aaaa => {
                let name = links.get(&query.name).unwrap_or(&query.name);
                let found = self.zones.lookup(networks, name)?;
                Some(message::addresses(request, query, &found))
            }
            Kind::Ptr => {
                let name = self.zones.reverse(networks, message::reverse_name(&query.name)?)?;
                Some(message::pointer(request, query, &name))
            }
            Kind::Other => None,
        }
    }

    fn reply(&mut self, key: Key, client: SocketAddr, reply: &[u8]) {
        if let Some(running) = self.resolvers.get_mut(key) {
            // A client that does not take its answer asks again.
            sendto(&running.udp, reply, SendFlags::NOSIGNAL, &client).ok();
        }
    }

    /// Asks the servers from `first` on, the first that can be asked.
    fn ask_upstream(&mut self, key: Key, client: SocketAddr, request: Vec<u8>, query: Query, first: usize) {
        let Some(running) = self.resolvers.get_mut(key) else { return };
        let servers = running.config.upstream.clone();
        let room = self.pending.len() < MAX_PENDING;
        for (index, server) in servers.iter().enumerate().skip(first).take_while(|_| room) {
            let Ok(socket) = self.upstream_socket(Protocol::Udp, *server) else { continue };
            let id = random_id();
            let mut outgoing = request.clone();
            message::set_id(&mut outgoing, id);
            if send(&socket, &outgoing, SendFlags::NOSIGNAL).is_err() {
                continue;
            }
            let deadline = Instant::now() + SERVER_PATIENCE;
            let pending =
                Pending { resolver: key, client, request, query, server: index, socket, id, deadline };
            let key = self.pending.insert(pending);
            let inserted = self.pending.get_mut(key).expect("just inserted");
            if self.poll.add_input(&inserted.socket, Token::Answer(key)).is_err() {
                self.pending.remove(key);
            }
            return;
        }
        let failed = message::empty(&request, &query, Code::ServerFailure);
        self.reply(key, client, &failed);
    }

    /// A socket connected, or connecting, to an upstream server.
    fn upstream_socket(&mut self, protocol: Protocol, server: Upstream) -> Result<OwnedFd, Errno> {
        let address = SocketAddr::new(server.address, 53);
        let socket = if server.from_host {
            socket::new(protocol, Family::of(&address))?
        } else {
            self.router.take(protocol, Family::of(&address))?
        };
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(errno) => Err(errno),
        }
    }

    /// What an upstream server said.
    pub(crate) fn take_answer(&mut self, key: Key) {
        let Some(pending) = self.pending.get_mut(key) else { return };
        match recv(&pending.socket, &mut self.scratch[..MAX_MESSAGE], RecvFlags::empty()) {
            Ok((_, length)) if message::id(&self.scratch[..length]) == Some(pending.id) => {
                let mut answer = self.scratch[..length].to_vec();
                message::set_id(&mut answer, pending.query.id);
                let (resolver, client) = (pending.resolver, pending.client);
                self.pending.remove(key);
                self.reply(resolver, client, &answer);
            }
            // A stray or forged one, or a wake-up for nothing.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody listens there (ICMP): no need to wait for the patience to end.
            Err(_) => self.next_server(key),
        }
    }

    /// Gives up on the server that was asked.
    pub(crate) fn next_server(&mut self, key: Key) {
        if let Some(p) = self.pending.remove(key) {
            self.ask_upstream(p.resolver, p.client, p.request, p.query, p.server + 1);
        }
    }

    /// A client that comes by TCP gets a connection with the first upstream server.
    pub(crate) fn take_query_stream(&mut self, key: Key) {
        let Some(running) = self.resolvers.get_mut(key) else { return };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(client) = rustix::net::accept_with(&running.tcp, flags) else { return };
        let first = running.config.upstream.first().copied();
        let server = first.ok_or(Errno::HOSTUNREACH).and_then(|s| self.upstream_socket(Protocol::Tcp, s));
        match server {
            Ok(server) => self.join_streams(None, tcp::Flow::new(client, server)),
            Err(_) => drop(socket::reset_on_close(&client)),
        }
    }
}

fn random_id() -> u16 {
    let mut bytes = [0; 2];
    // Pools are ready long before containers are (getrandom(2)); the port is random besides.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok();
    u16::from_be_bytes(bytes)
}
