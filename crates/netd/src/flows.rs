//! What is forwarded at the moment, for whoever asks over the control socket.
//!
//! A flow keeps no addresses: they are read off its sockets when somebody asks.

use crate::{
    outward::Pair,
    proto::{self, Reply},
    server::Server,
    socket,
    streams::{Member, Streams},
};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

/// How many one process lists: their reply fits a frame.
const MAX_LISTED: usize = 16_384;

/// One flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    pub protocol: FlowProtocol,
    pub direction: Direction,
    /// Who asked. Of a flow outward, the container.
    pub client: SocketAddr,
    /// Whom it asked, as it named it. Of a flow inward, the published address.
    pub destination: SocketAddr,
    /// The container's end; none while it is being connected.
    pub container: Option<SocketAddr>,
    pub state: State,
    /// To the container and from it.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// In milliseconds.
    pub age: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowProtocol {
    Tcp,
    Udp,
    /// Echo requests; the port of either end is their identifier.
    Icmp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    In,
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// TCP: the other side has not accepted yet.
    Connecting,
    Open,
    /// TCP: one side has ended its direction.
    HalfClosed,
    /// UDP and echo: nothing has come back yet.
    Unanswered,
    Answered,
}

fn age(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn answered(yes: bool) -> State {
    if yes { State::Answered } else { State::Unanswered }
}

/// None for a flow whose sockets have just been reset: they have no peers any more.
fn stream(member: &Member) -> Option<Flow> {
    let [asking, asked] = member.flow.sockets();
    let peer = |fd: &OwnedFd| rustix::net::getpeername(fd).ok().flatten().and_then(socket::internet);
    let (client, destination) =
        (peer(asking)?, rustix::net::getsockname(asking).ok().and_then(socket::internet)?);
    let [from_client, from_server] = member.flow.moved();
    let (direction, container, bytes_in, bytes_out) = match member.port {
        Some(_) => (Direction::In, peer(asked), from_client, from_server),
        None => (Direction::Out, Some(client), from_server, from_client),
    };
    let state = member.flow.state();
    let protocol = FlowProtocol::Tcp;
    let age = age(member.since);
    Some(Flow { protocol, direction, client, destination, container, state, bytes_in, bytes_out, age })
}

fn outward(protocol: FlowProtocol, pair: Pair, state: State, bytes: [u64; 2], since: Instant) -> Flow {
    Flow {
        protocol,
        direction: Direction::Out,
        client: pair.inside,
        destination: pair.outside,
        container: Some(pair.inside),
        state,
        bytes_in: bytes[0],
        bytes_out: bytes[1],
        age: age(since),
    }
}

/// As many as fit, and how many do not.
fn limited(flows: impl Iterator<Item = Flow>, workers: usize) -> Reply {
    let mut all = flows;
    let flows: Vec<Flow> = all.by_ref().take(MAX_LISTED).collect();
    Reply::Flows { flows, left_off: all.count(), workers }
}

impl Server {
    /// The flows of this process; each worker's come over a socket that goes with the reply.
    pub(crate) fn list_flows(&mut self) -> (Reply, Vec<OwnedFd>) {
        let workers = self.workers.ask_for_flows();
        let mut flows: Vec<Flow> = self.streams.iter_mut().filter_map(|member| stream(member)).collect();
        for (_, flow) in self.datagrams.iter_mut() {
            let target = self.ports.get_mut(flow.port).map(|published| published.port.clone());
            let Some(port) = target else { continue };
            flows.push(Flow {
                protocol: FlowProtocol::Udp,
                direction: Direction::In,
                client: flow.client.address,
                destination: SocketAddr::new(flow.client.local, port.listen.address.port()),
                container: Some(port.target),
                state: answered(flow.answered),
                bytes_in: flow.bytes[0],
                bytes_out: flow.bytes[1],
                age: age(flow.since),
            });
        }
        flows.extend(self.outward.iter_mut().flat_map(|way| way.list_flows()));
        (limited(flows.into_iter(), workers.len()), workers)
    }
}

impl crate::outward::Outward {
    fn list_flows(&mut self) -> Vec<Flow> {
        let dials = self
            .dials
            .iter_mut()
            .map(|(_, dial)| outward(FlowProtocol::Tcp, dial.pair, State::Connecting, [0; 2], dial.since));
        let relays = self.relays.iter_mut().map(|(_, relay)| {
            outward(FlowProtocol::Udp, relay.pair, answered(relay.answered), relay.bytes, relay.since)
        });
        let echoes = self.echoes.iter_mut().map(|(_, echo)| {
            outward(FlowProtocol::Icmp, echo.pair(), answered(echo.bytes[0] > 0), echo.bytes, echo.since)
        });
        dials.chain(relays).chain(echoes).collect()
    }
}

/// In a worker: writes its flows into a file and sends that. Neither can block, whoever is at the other end.
pub(crate) fn send(streams: &mut Streams, to: &OwnedFd) -> io::Result<()> {
    let reply = limited(streams.iter_mut().filter_map(|member| stream(member)), 0);
    let mut file = File::from(memfd_create("flows", MemfdFlags::CLOEXEC)?);
    file.write_all(&proto::encode(&reply))?;
    file.rewind()?;
    sys::fds::send_with_fds(to, &[0], &[file.as_fd()])?;
    Ok(())
}

/// What a worker sent.
pub(crate) fn receive(from: &OwnedFd) -> io::Result<Vec<u8>> {
    let (_, files) = sys::fds::recv_with_fds(from, &mut [0])?;
    let mut frame = Vec::new();
    if let Some(file) = files.into_iter().next() {
        File::from(file).take(proto::MAX_FRAME as u64 + 4).read_to_end(&mut frame)?;
    }
    Ok(frame)
}

/// The two ends of the way from a worker to whoever asks.
pub(crate) fn way() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}
