//! The event loop: one thread, one epoll instance, no locks.

use crate::{
    control::{Connection, Input, Passed},
    dns::{
        resolver::{Dns, Running},
        upstream::Pending,
        zone::Zones,
    },
    inward::Side,
    outward::{self, Outward},
    poll::{Event, Poll, Token},
    proto::{Listen, Port, Protocol, Reply, Request},
    router::RouterSockets,
    scarcity::Scarcity,
    slab::{Key, Slab},
    socket,
    streams::Streams,
    tcp, udp,
    workers::Workers,
};
use model::Id;
use rustix::io::Errno;
use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    rc::Rc,
    time::{Duration, Instant},
};

/// How often time-outs are looked for: those of flows, and those of DNS queries.
const SWEEP: Duration = Duration::from_secs(5);
const SWEEP_QUERIES: Duration = Duration::from_millis(250);
/// How many connections of one port, or pieces of datagrams, are taken before it is the others' turn.
const TURN: usize = 64;

/// A published port and its listener.
pub(crate) struct Published {
    pub port: Rc<Port>,
    pub listener: OwnedFd,
    /// Where containers find the port: at their gateways' addresses.
    pub inside: Option<OwnedFd>,
}

/// Everything the forwarder holds.
pub(crate) struct Server {
    pub(crate) poll: Poll,
    control: OwnedFd,
    connections: Slab<Connection>,
    pub(crate) ports: Slab<Published>,
    pub(crate) by_address: HashMap<Listen, Key>,
    pub(crate) streams: Streams,
    pub(crate) workers: Workers,
    pub(crate) datagrams: Slab<udp::Flow>,
    pub(crate) clients: HashMap<(Key, udp::Client), Key>,
    pub(crate) zones: Zones,
    pub(crate) resolvers: Slab<Running>,
    pub(crate) resolver_of: HashMap<Id, Key>,
    pub(crate) pending: Slab<Pending>,
    pub(crate) dns: Dns,
    pub(crate) router: RouterSockets,
    /// None when another program leads out.
    pub(crate) outward: Option<Outward>,
    /// Whether router-side sockets may take the client's address.
    pub(crate) transparent: bool,
    pub(crate) scratch: Vec<u8>,
    /// Given up for a moment when descriptors run out, so that a connection can be taken and refused.
    pub(crate) spare: Option<OwnedFd>,
    pub(crate) scarcity: Scarcity,
}

impl Server {
    pub(crate) fn new(
        control: OwnedFd,
        router: RouterSockets,
        workers: Workers,
        transparent: bool,
    ) -> Result<Self, Errno> {
        let poll = Poll::new()?;
        poll.add_input(&control, Token::Control)?;
        Ok(Self {
            poll,
            control,
            connections: Slab::default(),
            ports: Slab::default(),
            by_address: HashMap::new(),
            streams: Streams::default(),
            workers,
            datagrams: Slab::default(),
            clients: HashMap::new(),
            zones: Zones::default(),
            resolvers: Slab::default(),
            resolver_of: HashMap::new(),
            pending: Slab::default(),
            dns: Dns::new(),
            router,
            outward: None,
            transparent,
            scratch: vec![0; tcp::CHUNK.max(udp::MAX_DATAGRAM)],
            spare: spare(),
            scarcity: Scarcity::default(),
        })
    }

    /// Serves until the kernel refuses to wait, or there is no way out any more: a new forwarder makes another.
    pub(crate) fn run(mut self) -> io::Error {
        let mut last_sweep = Instant::now();
        loop {
            let timeout =
                if self.streams.is_pressed() { Some(Duration::ZERO) } else { self.until_sweep(last_sweep) };
            let events = match self.poll.wait(timeout) {
                Ok(events) => events,
                Err(error) => return error.into(),
            };
            for event in events {
                if let Err(error) = self.handle(event) {
                    return error;
                }
            }
            self.streams.go_on(&mut self.scratch);
            // Whatever has ended meanwhile may have left a descriptor.
            if self.spare.is_none() {
                self.spare = spare();
            }
            let now = Instant::now();
            self.sweep_queries(now);
            if last_sweep.elapsed() >= SWEEP {
                last_sweep = now;
                self.sweep(now);
            }
        }
    }

    /// An idle forwarder sleeps for good.
    fn until_sweep(&self, last: Instant) -> Option<Duration> {
        if self.pending.len() > 0 {
            return Some(SWEEP_QUERIES);
        }
        let outward = self.outward.as_ref().is_some_and(Outward::is_busy);
        let busy = outward
            || self.dns.clients.len() > 0
            || self.datagrams.len() > 0
            || self.streams.len() > 0
            || self.router.is_stocked();
        busy.then(|| SWEEP.saturating_sub(last.elapsed()))
    }

    fn handle(&mut self, event: Event) -> io::Result<()> {
        match event.token {
            Token::Control => self.connect_control(),
            Token::Connection(key) => self.serve_control(key),
            Token::Stream(key, end) => self.streams.pump(key, end, event.ready, &mut self.scratch),
            Token::Datagram(key) => self.answer_client(key),
            Token::Query(key) => self.take_queries(key),
            Token::QueryStream(key) => self.take_query_stream(key),
            Token::QueryClient(key) => self.serve_query_client(key),
            Token::Answer(key) => self.take_answer(key),
            Token::PortInside(key) => self.accept(key, Side::Router),
            Token::Tun => self.take_packets().map_err(|errno| {
                let text = format!("read packets from {}, which may be gone: {errno}", outward::INTERFACE);
                io::Error::new(io::Error::from(errno).kind(), text)
            })?,
            Token::Caught(key) => self.take_caught(key.index as usize),
            Token::Dial(key) => self.dialled(key, event.ready),
            Token::RelayInside(key) => self.relay_out(key),
            Token::RelayOutside(key) => self.relay_in(key, event.ready),
            Token::Echo(key) => self.take_echoes(key, event.ready),
            Token::Port(key) => match self.ports.get_mut(key).map(|p| p.port.listen.protocol) {
                Some(Protocol::Tcp) => self.accept(key, Side::Host),
                Some(Protocol::Udp) => self.receive(key),
                Some(Protocol::Sctp) | None => {}
            },
        }
        Ok(())
    }

    fn connect_control(&mut self) {
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        let socket = match rustix::net::accept_with(&self.control, flags) {
            // The engine is heard also when all else is full.
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                self.scarcity.met(errno);
                if !self.free_one() {
                    return;
                }
                rustix::net::accept_with(&self.control, flags)
            }
            other => other,
        };
        // A peer that hung up before it was accepted is nobody's loss.
        let Ok(socket) = socket else { return };
        // The directory and the socket keep other users out; this keeps out whom a loosened mode would let in.
        let peer = rustix::net::sockopt::socket_peercred(&socket).map(|credentials| credentials.uid);
        if peer != Ok(rustix::process::geteuid()) {
            return;
        }
        let Ok(connection) = Connection::new(socket) else { return };
        let key = self.connections.insert(connection);
        let added =
            self.connections.get_mut(key).map(|c| self.poll.add_input(&c.socket, Token::Connection(key)));
        if !matches!(added, Some(Ok(()))) {
            self.connections.remove(key);
        }
    }

    fn serve_control(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.read(&mut self.scratch) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => {
                self.connections.remove(key);
                return;
            }
        }
        while let Some(connection) = self.connections.get_mut(key) {
            let reply = match connection.next() {
                Input::Incomplete => return,
                Input::Request(Request::Flows {}, _) => Ok(self.list_flows()),
                Input::Request(request, passed) => Ok((self.carry_out(request, passed), Vec::new())),
                Input::Closed(reply) => Err(reply),
            };
            let (reply, keep) = match reply {
                Ok(reply) => (Some(reply), true),
                Err(reply) => (reply.map(|reply| (reply, Vec::new())), false),
            };
            let connection = self.connections.get_mut(key).expect("nothing else removes it");
            let told = reply.map_or(Ok(()), |(reply, descriptors)| connection.reply(&reply, &descriptors));
            if !keep || told.is_err() {
                self.connections.remove(key);
            }
        }
    }

    fn carry_out(&mut self, request: Request, mut passed: Passed) -> Reply {
        match request {
            Request::Add { ports } => match self.add_ports(ports, &mut passed) {
                Ok(()) => Reply::Done {},
                Err((listen, (operation, errno))) => {
                    self.scarcity.met(errno);
                    Reply::Failed { listen, operation: operation.into(), errno: errno.raw_os_error() }
                }
            },
            Request::Remove { ports } => {
                for listen in ports {
                    self.remove_port(listen);
                }
                Reply::Done {}
            }
            Request::Name { endpoints } => {
                endpoints.into_iter().for_each(|names| self.zones.put(names));
                Reply::Done {}
            }
            Request::Unname { endpoints } => {
                endpoints.iter().for_each(|endpoint| self.zones.forget(endpoint));
                Reply::Done {}
            }
            Request::Resolve { resolver } => match self.resolve(resolver, &mut passed) {
                Ok((udp, tcp)) => Reply::Resolving { udp, tcp },
                Err((operation, errno)) => {
                    self.scarcity.met(errno);
                    Reply::NoResolver { operation: operation.into(), errno: errno.raw_os_error() }
                }
            },
            Request::Unresolve { container } => {
                self.unresolve(&container);
                Reply::Done {}
            }
            Request::Troubles {} => Reply::Troubles { lines: self.scarcity.lately(Instant::now()) },
            Request::Flows {} => self.list_flows().0,
            Request::List {} => {
                Reply::Ports { ports: self.ports.iter_mut().map(|(_, p)| Port::clone(&p.port)).collect() }
            }
        }
    }

    /// All or none.
    fn add_ports(&mut self, ports: Vec<Port>, passed: &mut Passed) -> Result<(), (Listen, socket::Failure)> {
        let mut added = Vec::new();
        for port in ports {
            let listen = port.listen;
            // Each passed port has its socket, also one that is there already.
            let socket = port.passed.then(|| passed.take().map_err(|errno| ("receive the socket", errno)));
            if let Some(there) = self.by_address.get(&listen).and_then(|key| self.ports.get_mut(*key)) {
                there.port = Rc::new(port);
                continue;
            }
            let listener = match socket {
                Some(found) => found.and_then(|fd| socket::prepare_listener(&fd, listen).map(|()| fd)),
                None => socket::listen(listen),
            };
            let result = listener.and_then(|listener| self.publish(port, listener));
            if let Err(failure) = result {
                for listen in added {
                    self.remove_port(listen);
                }
                return Err((listen, failure));
            }
            added.push(listen);
        }
        Ok(())
    }

    fn publish(&mut self, port: Port, listener: OwnedFd) -> Result<(), socket::Failure> {
        let listen = port.listen;
        let inside = self.listen_inside(listen);
        let key = self.ports.insert(Published { port: Rc::new(port), listener, inside });
        let published = self.ports.get_mut(key).expect("just inserted");
        let inside =
            published.inside.as_ref().map_or(Ok(()), |l| self.poll.add_input(l, Token::PortInside(key)));
        if let Err(errno) = inside.and_then(|()| self.poll.add_input(&published.listener, Token::Port(key))) {
            self.ports.remove(key);
            self.listen_for_other_version(listen);
            return Err(("epoll_ctl", errno));
        }
        self.by_address.insert(listen, key);
        Ok(())
    }

    fn remove_port(&mut self, listen: Listen) {
        let Some(key) = self.by_address.remove(&listen) else { return };
        self.ports.remove(key);
        self.listen_for_other_version(listen);
        self.streams.orphan(key);
        self.workers.orphan(key);
        let flows: Vec<Key> =
            self.datagrams.iter_mut().filter(|(_, f)| f.port == key).map(|(k, _)| k).collect();
        for flow in flows {
            self.drop_datagram_flow(flow);
        }
    }

    /// Starts serving a flow, which came in by `port` if it did by any.
    pub(crate) fn join_streams(&mut self, port: Option<Key>, flow: tcp::Flow) {
        if let Some(flow) = self.workers.offer(self.streams.len(), port, flow) {
            self.streams.join(&self.poll, port, flow);
        }
    }

    fn sweep_queries(&mut self, now: Instant) {
        if self.pending.len() == 0 {
            return;
        }
        let overdue: Vec<Key> =
            self.pending.iter_mut().filter(|(_, p)| p.is_overdue(now)).map(|(k, _)| k).collect();
        for key in overdue {
            self.next_server(key);
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.sweep_query_clients(now);
        self.sweep_outward(now);
        let idle: Vec<Key> =
            self.datagrams.iter_mut().filter(|(_, f)| f.is_idle(now)).map(|(k, _)| k).collect();
        for key in idle {
            self.drop_datagram_flow(key);
        }
        self.streams.sweep(now);
        if self.streams.len() == 0 {
            self.router.rest();
        }
    }

    /// How often one port is served in a row.
    pub(crate) fn turn() -> std::ops::Range<usize> {
        0..TURN
    }
}

/// Any descriptor will do.
pub(crate) fn spare() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}
