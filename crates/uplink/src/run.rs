//! One uplink from beginning to end.

use crate::{
    Error, Protocol,
    args::{Args, Peer},
    dhcp::{self, Client, SERVER_PORT},
    interface, program,
    relay::Relay,
    talk::{Command, Event, Lease, Mac},
    vpnkit,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    convert::Infallible,
    io::{self, BufRead, Write},
    net::{SocketAddr, UdpSocket},
    os::{fd::AsFd, unix::net::UnixStream},
    time::Instant,
};
use sys::clone::Child;

/// Longer than any DHCP message that was not asked to be (RFC 2132, option 57).
const LONGEST_MESSAGE: usize = 1500;

/// The other end of a relay.
struct Link {
    peer: Peer,
    child: Child,
    stream: UnixStream,
    event: Event,
}

pub(crate) fn run(args: &Args) -> Result<Infallible, Error> {
    let link = args.peer.clone().map(reach).transpose()?;
    interface::join(&args.router)?;
    let mut uplink =
        Uplink { interface: args.interface.clone(), relay: None, child: None, peer: None, leased: false };
    let mut event = Event::Linked { mac: None, mtu: None };
    if let Some(link) = link {
        let tap = sys::tun::open_tap(&args.interface)?;
        uplink.relay = Some(Relay::new(tap, link.stream, &link.peer)?);
        (uplink.child, uplink.peer, event) = (Some(link.child), Some(link.peer), link.event);
    }
    say(&event)?;
    let mac = told_up()?;
    let socket = interface::dhcp_socket(&args.interface)?;
    let mut client = Client::new(mac, rand::random(), Instant::now());
    loop {
        if let Some(lease) = uplink.turn(&socket, &mut client)? {
            say(&Event::Leased(lease))?;
            uplink.leased = true;
        }
    }
}

fn reach(peer: Peer) -> Result<Link, Error> {
    let child = program::start(&peer)?;
    let mut stream = program::connect(&peer, &child)?;
    let event = match peer.protocol {
        // It has no handshake. This is the address for which gvproxy has a lease of its own.
        Protocol::Qemu => Event::Linked { mac: Some(GVPROXY_MAC), mtu: None },
        Protocol::Vpnkit => {
            let vif = vpnkit::shake_hands(&mut stream, rand::random())
                .map_err(|source| Error::Handshake { peer: peer.program.clone(), source })?;
            Event::Linked { mac: Some(vif.mac), mtu: Some(vif.mtu) }
        }
    };
    Ok(Link { peer, child, stream, event })
}

/// containers/gvisor-tap-vsock `cmd/gvproxy/config.go`, `DHCPStaticLeases`: 192.168.127.2.
const GVPROXY_MAC: Mac = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee];

fn say(event: &Event) -> Result<(), Error> {
    let mut line = serde_json::to_vec(event).map_err(|e| Error::io("encode", "an event")(e.into()))?;
    line.push(b'\n');
    io::stdout().write_all(&line).and_then(|()| io::stdout().flush()).map_err(|_| Error::NoEngine)
}

fn told_up() -> Result<Mac, Error> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Error::io("read", "standard input"))?;
    match serde_json::from_str(&line) {
        Ok(Command::Up { mac }) => Ok(mac),
        Err(_) if line.is_empty() => Err(Error::NoEngine),
        Err(error) => Err(Error::io("read", "standard input")(error.into())),
    }
}

struct Uplink {
    interface: String,
    relay: Option<Relay>,
    child: Option<Child>,
    peer: Option<Peer>,
    /// From then on the engine is not needed.
    leased: bool,
}

impl Uplink {
    /// Waits for whatever comes next, and does what it asks for.
    fn turn(&mut self, socket: &UdpSocket, client: &mut Client) -> Result<Option<Lease>, Error> {
        let leased = |source| Error::Lease { interface: self.interface.clone(), source };
        if let Some(outgoing) = client.due(Instant::now()).map_err(leased)? {
            send(socket, &outgoing).map_err(Error::io("send a DHCP message on", self.interface.clone()))?;
        }
        self.wait(socket, client)?;
        if let (Some(peer), Some(child)) = (&self.peer, &self.child) {
            program::ended(peer, child)?;
        }
        if let Some(relay) = &mut self.relay {
            relay.carry()?;
        }
        let mut datagram = [0; LONGEST_MESSAGE];
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) if from.port() == SERVER_PORT => {
                client.receive(&datagram[..length], Instant::now()).map_err(leased)
            }
            Ok(_) => Ok(None),
            // An ICMP error for what was sent before shows up here too (udp(7)); silence is waited out anyway.
            Err(_) => Ok(None),
        }
    }

    fn wait(&self, socket: &UdpSocket, client: &Client) -> Result<(), Error> {
        let timeout = client.deadline().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) }
        });
        let mut fds = vec![PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        fds.extend(self.child.iter().map(|c| PollFd::from_borrowed_fd(c.pidfd.as_fd(), PollFlags::IN)));
        fds.extend(self.relay.iter().flat_map(Relay::interests));
        let stdin = io::stdin();
        if !self.leased {
            // Nothing more is said by it; what is reported is that the other end is closed (poll(2), POLLHUP).
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty()));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) if !self.leased && fds.last().is_some_and(|fd| fd.revents().contains(PollFlags::HUP)) => {
                Err(Error::NoEngine)
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(Error::io("poll", "the uplink")(errno.into())),
        }
    }
}

/// What does not get out now is sent again later.
fn send(socket: &UdpSocket, outgoing: &dhcp::Outgoing) -> io::Result<()> {
    use io::ErrorKind as K;
    match socket.send_to(&outgoing.bytes, SocketAddr::from((outgoing.to, SERVER_PORT))) {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), K::NetworkUnreachable | K::HostUnreachable | K::NetworkDown) => Ok(()),
        Err(e) if matches!(e.kind(), K::WouldBlock | K::ConnectionRefused | K::PermissionDenied) => Ok(()),
        Err(e) => Err(e),
    }
}
