//! Asking the launcher for what the engine, in its user namespace, cannot do.

use network::{Protocol, proto::Listen};
use rustix::io::Errno;
use shim_proto::{Connection, FromLauncher, ToLauncher, Transport};
use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Mutex, PoisonError},
};

/// The launcher's other end.
#[derive(Debug)]
pub(super) struct Service(Mutex<Connection>);

impl Service {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(Mutex::new(Connection::new(socket, "launcher")))
    }

    fn ask(&self, request: &ToLauncher) -> io::Result<(FromLauncher, Vec<OwnedFd>)> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.send(0, request, &[]).map_err(io::Error::other)?;
        match connection.receive::<FromLauncher>().map_err(io::Error::other)? {
            Some(reply) => Ok((reply.msg, reply.fds)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl network::Launcher for Service {
    fn bind(&self, listen: Listen) -> io::Result<OwnedFd> {
        let transport = match listen.protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
            Protocol::Sctp => return Err(Errno::PROTONOSUPPORT.into()),
        };
        match self.ask(&ToLauncher::Bind { transport, address: listen.address })? {
            (FromLauncher::Bound, fds) => {
                fds.into_iter().next().ok_or_else(|| io::Error::other("the launcher sent no socket"))
            }
            (FromLauncher::Refused { errno }, _) => Err(io::Error::from_raw_os_error(errno)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    fn attach(&self, pid: u32, interface: &str) -> io::Result<()> {
        match self.ask(&ToLauncher::Attach { pid, interface: interface.to_owned() })? {
            (FromLauncher::Attached, _) => Ok(()),
            (FromLauncher::Failed { message }, _) => Err(io::Error::other(message)),
            (other, _) => Err(unexpected(&other)),
        }
    }
}

fn unexpected(reply: &FromLauncher) -> io::Error {
    io::Error::other(format!("the launcher answered {reply:?}"))
}
