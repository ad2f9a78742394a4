//! Containers that ask by TCP.

use super::{upstream::Asker, wire::Wire};
use crate::{
    poll::Token,
    server::Server,
    slab::{Key, Slab},
    socket,
};
use rustix::{io::Errno, net::SocketFlags};
use std::time::{Duration, Instant};

/// Connections of all containers together, and of one.
const MAX_CLIENTS: usize = 1024;
const MAX_CLIENTS_EACH: usize = 64;
/// Queries of one connection that are under way at once.
const MAX_WAITING: usize = 32;
/// How long a connection may say nothing (RFC 7766, 6.2.3, asks for seconds).
const IDLE: Duration = Duration::from_secs(10);

/// A connection from a container.
pub(crate) struct Client {
    pub resolver: Key,
    wire: Wire,
    /// Queries that are not answered yet.
    waiting: usize,
    last: Instant,
}

pub(crate) type Clients = Slab<Client>;

impl Server {
    pub(crate) fn take_query_stream(&mut self, key: Key) {
        let Some(running) = self.resolvers.get_mut(key) else { return };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match rustix::net::accept_with(&running.tcp, flags) {
            Ok(socket) => socket,
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                self.refuse_one(errno, |server| {
                    let running = server.resolvers.get_mut(key)?;
                    rustix::net::accept_with(&running.tcp, SocketFlags::CLOEXEC).ok()
                });
                return;
            }
            Err(_) => return,
        };
        let own = self.dns.clients.iter_mut().filter(|(_, client)| client.resolver == key).count();
        if own >= MAX_CLIENTS_EACH || self.dns.clients.len() >= MAX_CLIENTS {
            // Not being able to say so either changes nothing: the socket is closed.
            socket::reset_on_close(&socket).ok();
            return;
        }
        let client = Client { resolver: key, wire: Wire::new(socket), waiting: 0, last: Instant::now() };
        let key = self.dns.clients.insert(client);
        let inserted = self.dns.clients.get_mut(key).expect("just inserted");
        if self.poll.add_edges(&inserted.wire.socket, Token::QueryClient(key)).is_err() {
            self.dns.clients.remove(key);
        }
    }

    /// Queries of a connection, or room for replies to them.
    pub(crate) fn serve_query_client(&mut self, key: Key) {
        let Some(client) = self.dns.clients.get_mut(key) else { return };
        let resolver = client.resolver;
        let pumped = client.wire.flush().and_then(|()| client.wire.fill(&mut self.scratch));
        if pumped.is_err() {
            self.dns.clients.remove(key);
            return;
        }
        while let Some(client) = self.dns.clients.get_mut(key)
            && let Some(request) = client.wire.next()
        {
            client.last = Instant::now();
            client.waiting += 1;
            let greedy = client.waiting > MAX_WAITING;
            if greedy || !self.take_query(resolver, request, Asker::Stream(key)) {
                self.dns.clients.remove(key);
            }
        }
        self.end_query_client(key);
    }

    /// Sends a reply to a connection, if it is still there.
    pub(crate) fn reply_stream(&mut self, key: Key, reply: &[u8]) {
        let Some(client) = self.dns.clients.get_mut(key) else { return };
        client.waiting = client.waiting.saturating_sub(1);
        client.last = Instant::now();
        if client.wire.push(reply).is_err() {
            self.dns.clients.remove(key);
        }
        self.end_query_client(key);
    }

    /// Closes a connection whose client wants nothing more and has everything.
    fn end_query_client(&mut self, key: Key) {
        let Some(client) = self.dns.clients.get_mut(key) else { return };
        if client.wire.ended && client.waiting == 0 && client.wire.is_flushed() {
            self.dns.clients.remove(key);
        }
    }

    pub(crate) fn sweep_query_clients(&mut self, now: Instant) {
        self.drop_query_clients(|client| now.duration_since(client.last) > IDLE);
    }

    pub(crate) fn drop_query_clients(&mut self, which: impl Fn(&Client) -> bool) {
        let gone: Vec<Key> =
            self.dns.clients.iter_mut().filter(|(_, client)| which(client)).map(|(key, _)| key).collect();
        for key in gone {
            self.dns.clients.remove(key);
        }
    }
}
