//! The engine's side of the control protocol: blocking, one request at a time.

use crate::flows::{self, Flow};
use crate::proto::{self, Listen, MAX_LISTENERS, Names, Port, Reply, Request, Resolver};
use model::Id;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, sendmsg, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use std::{
    io::{self, IoSlice, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

/// Longer than binding ten thousand ports takes.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connect to {path}: {source}", path = path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("{operation} the control connection: {source}")]
    Connection { operation: &'static str, source: io::Error },
    #[error("{0}")]
    Frame(#[from] proto::FrameError),
    #[error("{operation} {listen:?}: {source}", source = io::Error::from_raw_os_error(*errno))]
    Port { listen: Listen, operation: String, errno: i32 },
    #[error("resolver at 127.0.0.11: {operation}: {source}", source = io::Error::from_raw_os_error(*errno))]
    Resolver { operation: String, errno: i32 },
    #[error("expected {expected}, got {got:?}")]
    Unexpected { expected: &'static str, got: Box<Reply> },
    #[error("{count} sockets passed at once, more than {MAX_LISTENERS}")]
    TooManyListeners { count: usize },
}

/// Where a container's resolver listens on 127.0.0.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolverPorts {
    pub udp: u16,
    pub tcp: u16,
}

/// A connection to the forwarder.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    pending: Vec<u8>,
    /// Descriptors that came with the last reply.
    received: Vec<OwnedFd>,
}

impl Client {
    /// Connects to the forwarder that listens at `path`.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Self::connect_within(path, TIMEOUT)
    }

    /// As [`Client::connect`]; connecting, writing and each wait for some of an answer take `patience` at most.
    pub fn connect_within(path: &Path, patience: Duration) -> Result<Self, Error> {
        let connect = || -> io::Result<UnixStream> {
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            set_socket_timeout(&socket, Timeout::Recv, Some(patience))?;
            // Before connecting, which waits while the listener's queue is full (net/unix/af_unix.c,
            // `unix_stream_connect`).
            set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
            rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
            Ok(socket.into())
        };
        let stream = connect().map_err(|source| Error::Connect { path: path.to_owned(), source })?;
        Ok(Self { stream, pending: Vec::new(), received: Vec::new() })
    }

    /// Starts forwarding all of `ports`, or none. `listeners` belong, in order, to those with [`Port::passed`].
    ///
    /// # Errors
    /// [`Error::Port`] names the port that could not be bound and why.
    pub fn add(&mut self, ports: Vec<Port>, listeners: &[BorrowedFd<'_>]) -> Result<(), Error> {
        self.expect_done(&Request::Add { ports }, listeners)
    }

    /// Stops forwarding `ports`.
    pub fn remove(&mut self, ports: Vec<Listen>) -> Result<(), Error> {
        self.expect_done(&Request::Remove { ports }, &[])
    }

    /// What is forwarded now.
    pub fn list(&mut self) -> Result<Vec<Port>, Error> {
        match self.ask(&Request::List {}, &[])? {
            Reply::Ports { ports } => Ok(ports),
            got => Err(Error::Unexpected { expected: "ports", got: Box::new(got) }),
        }
    }

    /// What passes now, and how many flows more than are listed.
    pub fn flows(&mut self) -> Result<(Vec<Flow>, usize), Error> {
        let (mut all, mut left_off, workers) = match self.ask(&Request::Flows {}, &[])? {
            Reply::Flows { flows, left_off, workers } => (flows, left_off, workers),
            got => return Err(Error::Unexpected { expected: "flows", got: Box::new(got) }),
        };
        let read = |source| Error::Connection { operation: "read", source };
        for worker in self.received.drain(..).take(workers) {
            set_socket_timeout(&worker, Timeout::Recv, Some(TIMEOUT)).map_err(|e| read(e.into()))?;
            let frame = flows::receive(&worker).map_err(read)?;
            // A worker that ended meanwhile has no flows.
            if let Some((Reply::Flows { flows, left_off: more, .. }, _)) = proto::decode(&frame)? {
                all.extend(flows);
                left_off += more;
            }
        }
        Ok((all, left_off))
    }

    /// What has gone wrong in the last minutes and what to do about it, a line each.
    pub fn troubles(&mut self) -> Result<Vec<String>, Error> {
        match self.ask(&Request::Troubles {}, &[])? {
            Reply::Troubles { lines } => Ok(lines),
            got => Err(Error::Unexpected { expected: "troubles", got: Box::new(got) }),
        }
    }

    /// Lets endpoints be found by name.
    pub fn name(&mut self, endpoints: Vec<Names>) -> Result<(), Error> {
        self.expect_done(&Request::Name { endpoints }, &[])
    }

    /// Forgets endpoints' names.
    pub fn unname(&mut self, endpoints: Vec<Id>) -> Result<(), Error> {
        self.expect_done(&Request::Unname { endpoints }, &[])
    }

    /// Starts or changes a container's resolver; `namespace` is the container's.
    ///
    /// # Errors
    /// [`Error::Resolver`] when its sockets cannot be opened.
    pub fn resolve(&mut self, resolver: Resolver, namespace: BorrowedFd<'_>) -> Result<ResolverPorts, Error> {
        match self.ask(&Request::Resolve { resolver }, &[namespace])? {
            Reply::Resolving { udp, tcp } => Ok(ResolverPorts { udp, tcp }),
            Reply::NoResolver { operation, errno } => Err(Error::Resolver { operation, errno }),
            got => Err(Error::Unexpected { expected: "resolving", got: Box::new(got) }),
        }
    }

    /// Stops a container's resolver.
    pub fn unresolve(&mut self, container: Id) -> Result<(), Error> {
        self.expect_done(&Request::Unresolve { container }, &[])
    }

    fn expect_done(&mut self, request: &Request, listeners: &[BorrowedFd<'_>]) -> Result<(), Error> {
        match self.ask(request, listeners)? {
            Reply::Done {} => Ok(()),
            Reply::Failed { listen, operation, errno } => Err(Error::Port { listen, operation, errno }),
            got => Err(Error::Unexpected { expected: "done or failed", got: Box::new(got) }),
        }
    }

    fn ask(&mut self, request: &Request, listeners: &[BorrowedFd<'_>]) -> Result<Reply, Error> {
        self.received.clear();
        let frame = proto::encode(request);
        let sent = send_with_descriptors(&self.stream, &frame, listeners)?;
        let write = |source| Error::Connection { operation: "write", source };
        self.stream.write_all(&frame[sent..]).map_err(write)?;
        self.receive()
    }

    fn receive(&mut self) -> Result<Reply, Error> {
        let read = |source| Error::Connection { operation: "read", source };
        loop {
            if let Some((reply, length)) = proto::decode(&self.pending)? {
                self.pending.drain(..length);
                return Ok(reply);
            }
            let mut chunk = [0; 4096];
            let (length, descriptors) =
                sys::fds::recv_with_fds(&self.stream, &mut chunk).map_err(|e| read(e.into()))?;
            if length == 0 {
                return Err(read(io::ErrorKind::UnexpectedEof.into()));
            }
            self.pending.extend_from_slice(&chunk[..length]);
            self.received.extend(descriptors);
        }
    }
}

/// Sends as much of `frame` as goes at once, with `descriptors` on its first byte.
fn send_with_descriptors(
    stream: &UnixStream,
    frame: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Error> {
    if descriptors.is_empty() {
        return Ok(0);
    }
    if descriptors.len() > MAX_LISTENERS {
        return Err(Error::TooManyListeners { count: descriptors.len() });
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    sendmsg(stream.as_fd(), &[IoSlice::new(frame)], &mut control, SendFlags::NOSIGNAL)
        .map_err(|e| Error::Connection { operation: "write", source: e.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixListener, time::Instant};

    const BRIEF: Duration = Duration::from_millis(50);

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("netd-{name}-{}", std::process::id()))
    }

    /// As with a forwarder that is stopped, or stuck.
    #[test]
    fn nobody_who_answers_is_not_waited_for_longer_than_was_said() {
        let path = path("unanswering");
        let listener = UnixListener::bind(&path).unwrap();
        // Connected as soon as there is room in the queue.
        let mut client = Client::connect_within(&path, BRIEF).unwrap();
        let error = client.troubles().unwrap_err();
        assert!(matches!(error, Error::Connection { operation: "read", .. }), "{error}");
        rustix::net::listen(&listener, 0).unwrap();
        let start = Instant::now();
        let error = (0..3).find_map(|_| Client::connect_within(&path, BRIEF).err()).expect("a full queue");
        assert!(matches!(error, Error::Connect { .. }), "{error}");
        assert!(start.elapsed() < TIMEOUT);
        std::fs::remove_file(&path).unwrap();
    }
}
