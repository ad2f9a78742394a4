//! A way to the server.

use super::{Options, address::Address, address::Remote, tls};
use crate::{Error, Result};
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

/// For each step that waits: connecting to one address, or a send that a full buffer holds up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Local sockets, as srslog looks for them.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

#[derive(Debug)]
pub(super) enum Connection {
    Datagram(UnixDatagram),
    Unix(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    pub(super) fn open(options: &Options) -> Result<Self> {
        let failed =
            |source| Error::Syslog { operation: "connect to", server: options.address.to_string(), source };
        match &options.address {
            Address::Local => local().map_err(failed),
            Address::Unix(path) => unix(path).map_err(failed),
            Address::UnixDatagram(path) => datagram(path).map_err(failed),
            Address::Udp(remote) => udp(remote).map_err(failed),
            Address::Tcp(remote) => tcp(remote).map(Self::Tcp).map_err(failed),
            Address::Tls(remote) => {
                let client = tls::client(&options.tls, remote)?;
                let mut stream = StreamOwned::new(client, tcp(remote).map_err(failed)?);
                // The handshake, now rather than with the first message.
                stream.conn.complete_io(&mut stream.sock).map_err(failed)?;
                Ok(Self::Tls(Box::new(stream)))
            }
        }
    }

    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagram(socket) => socket.send(message).map(drop),
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Unix(socket) => socket.write_all(message),
            Self::Tcp(socket) => socket.write_all(message),
            Self::Tls(stream) => stream.write_all(message).and_then(|()| stream.flush()),
        }
    }

    /// Whether the server has ended the connection, as far as is known here.
    pub(super) fn was_closed(&mut self) -> bool {
        match self {
            Self::Datagram(_) | Self::Udp(_) => false,
            Self::Unix(socket) => is_at_end(&*socket),
            Self::Tcp(socket) => is_at_end(&*socket),
            Self::Tls(stream) => tls_closed(stream),
        }
    }
}

/// Servers say nothing in this protocol; what one says all the same is left unread.
fn is_at_end(socket: impl AsFd) -> bool {
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    match rustix::net::recv(socket, &mut [0u8; 1][..], flags) {
        Ok((_, length)) => length == 0,
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
        Err(_) => true,
    }
}

/// Session tickets and the like are read here, and the server's farewell.
fn tls_closed(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> bool {
    let read = |stream: &mut StreamOwned<ClientConnection, TcpStream>| -> io::Result<bool> {
        loop {
            match stream.conn.read_tls(&mut stream.sock) {
                Ok(0) => return Ok(true),
                Ok(_) => {
                    let state = stream.conn.process_new_packets().map_err(io::Error::other)?;
                    if state.peer_has_closed() {
                        return Ok(true);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    };
    if stream.sock.set_nonblocking(true).is_err() {
        return true;
    }
    let closed = read(stream).unwrap_or(true);
    stream.sock.set_nonblocking(false).is_err() || closed
}

fn local() -> io::Result<Connection> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for path in LOCAL.map(Path::new) {
        match datagram(path).or_else(|_| unix(path)) {
            Ok(connection) => return Ok(connection),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn datagram(path: &Path) -> io::Result<Connection> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(path)?;
    Ok(Connection::Datagram(socket))
}

fn unix(path: &Path) -> io::Result<Connection> {
    let socket = UnixStream::connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(Connection::Unix(socket))
}

fn udp(remote: &Remote) -> io::Result<Connection> {
    first(remote, |address| {
        let any: std::net::IpAddr = match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection::Udp(socket))
    })
}

fn tcp(remote: &Remote) -> io::Result<TcpStream> {
    first(remote, |address| {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        // The handshake of TLS reads.
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(socket)
    })
}

/// The first of the name's addresses that answers.
fn first<T>(
    remote: &Remote,
    mut connect: impl FnMut(std::net::SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (remote.host.as_str(), remote.port).to_socket_addrs()? {
        match connect(address) {
            Ok(made) => return Ok(made),
            Err(e) => last = e,
        }
    }
    Err(last)
}
