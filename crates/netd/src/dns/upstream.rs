//! Queries on their way upstream, and what comes back.

use super::{
    message::{self, Code, Query},
    wire::Wire,
};
use crate::{
    poll::Token,
    proto::{Protocol, Upstream},
    server::Server,
    slab::Key,
    socket::{self, Family},
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// How long one server may take to answer; Docker's resolver waits 4 s, longer than many clients do.
const SERVER_PATIENCE: Duration = Duration::from_secs(2);
/// Queries under way of all containers together, and of one.
const MAX_PENDING: usize = 1024;
const MAX_PENDING_EACH: usize = 256;

/// Who is to have the reply.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    Datagram(SocketAddr),
    /// A connection of [`super::client`].
    Stream(Key),
}

/// A query that went upstream.
pub(crate) struct Pending {
    pub resolver: Key,
    asker: Asker,
    request: Vec<u8>,
    query: Query,
    /// Who was asked, and who is next.
    servers: Vec<Upstream>,
    asked: usize,
    exchange: Exchange,
    /// The ID it was asked with: guessing it and the port is what a forger has to do.
    id: u16,
    deadline: Instant,
}

enum Exchange {
    Datagram(OwnedFd),
    Stream(Wire),
}

impl Pending {
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline <= now
    }
}

/// A question without the servers it was put to.
pub(crate) struct Question {
    pub resolver: Key,
    pub asker: Asker,
    pub request: Vec<u8>,
    pub query: Query,
}

impl Server {
    /// Asks the servers of a resolver.
    pub(crate) fn ask_upstream(&mut self, question: Question) {
        let key = question.resolver;
        let Some(running) = self.resolvers.get_mut(key) else { return };
        let mut servers = running.config.upstream.clone();
        if running.config.host_servers {
            let host = self.dns.host.current(Instant::now());
            if !host.is_empty() {
                servers =
                    host.iter().map(|address| Upstream { address: *address, from_host: true }).collect();
            }
        }
        let own = self.pending.iter_mut().filter(|(_, pending)| pending.resolver == key).count();
        if own >= MAX_PENDING_EACH || self.pending.len() >= MAX_PENDING {
            // As moby's resolver says when it has too much to do.
            let refused = message::empty(&question.request, &question.query, Code::Refused);
            return self.reply(key, question.asker, &refused);
        }
        self.ask_servers(question, servers, 0);
    }

    /// Asks the servers from `first` on, the first that can be asked.
    fn ask_servers(&mut self, question: Question, servers: Vec<Upstream>, first: usize) {
        for index in first..servers.len() {
            let id = random_id();
            let mut outgoing = question.request.clone();
            message::set_id(&mut outgoing, id);
            let Ok(exchange) = self.open_exchange(question.asker, servers[index], &outgoing) else {
                continue;
            };
            let Question { resolver, asker, request, query } = question;
            let deadline = Instant::now() + SERVER_PATIENCE;
            let pending =
                Pending { resolver, asker, request, query, servers, asked: index, exchange, id, deadline };
            self.watch_answer(pending);
            return;
        }
        let failed = message::empty(&question.request, &question.query, Code::ServerFailure);
        self.reply(question.resolver, question.asker, &failed);
    }

    fn open_exchange(&mut self, asker: Asker, server: Upstream, outgoing: &[u8]) -> Result<Exchange, Errno> {
        match asker {
            Asker::Datagram(_) => {
                let socket = self.upstream_socket(Protocol::Udp, server)?;
                send(&socket, outgoing, SendFlags::NOSIGNAL)?;
                Ok(Exchange::Datagram(socket))
            }
            Asker::Stream(_) => {
                let mut wire = Wire::new(self.upstream_socket(Protocol::Tcp, server)?);
                wire.push(outgoing)?;
                Ok(Exchange::Stream(wire))
            }
        }
    }

    fn watch_answer(&mut self, pending: Pending) {
        let key = self.pending.insert(pending);
        let inserted = self.pending.get_mut(key).expect("just inserted");
        let added = match &inserted.exchange {
            Exchange::Datagram(socket) => self.poll.add_input(socket, Token::Answer(key)),
            // A connection is written to once it is made.
            Exchange::Stream(wire) => self.poll.add_edges(&wire.socket, Token::Answer(key)),
        };
        if added.is_err() {
            self.next_server(key);
        }
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
        let received = match &mut pending.exchange {
            Exchange::Datagram(socket) => {
                match recv(&*socket, &mut self.scratch[..message::LARGEST], RecvFlags::empty()) {
                    Ok((_, length)) => Ok(Some(self.scratch[..length].to_vec())),
                    Err(Errno::AGAIN | Errno::INTR) => Ok(None),
                    // Nobody listens there (ICMP): no need to wait for the patience to end.
                    Err(errno) => Err(errno),
                }
            }
            Exchange::Stream(wire) => {
                wire.flush().and_then(|()| wire.fill(&mut self.scratch)).and_then(|()| match wire.next() {
                    None if wire.ended => Err(Errno::CONNRESET),
                    next => Ok(next),
                })
            }
        };
        match received {
            Ok(Some(answer)) if pending.query.is_answered_by(&pending.request, pending.id, &answer) => {
                self.settle_answer(key, answer);
            }
            // A stray or forged one, or a wake-up for nothing.
            Ok(_) => {}
            Err(_) => self.next_server(key),
        }
    }

    /// Passes an answer on. A server that fails or refuses may do so for itself alone: the next one is asked.
    fn settle_answer(&mut self, key: Key, mut answer: Vec<u8>) {
        let failures = [Code::ServerFailure as u8, Code::Refused as u8];
        if failures.contains(&message::code(&answer)) {
            return self.next_server(key);
        }
        let Some(pending) = self.pending.remove(key) else { return };
        message::set_id(&mut answer, pending.query.id);
        self.reply(pending.resolver, pending.asker, &answer);
    }

    /// Gives up on the server that was asked.
    pub(crate) fn next_server(&mut self, key: Key) {
        if let Some(pending) = self.pending.remove(key) {
            let Pending { resolver, asker, request, query, servers, asked, .. } = pending;
            self.ask_servers(Question { resolver, asker, request, query }, servers, asked + 1);
        }
    }
}

fn random_id() -> u16 {
    let mut bytes = [0; 2];
    super::resolver::random(&mut bytes);
    u16::from_be_bytes(bytes)
}
