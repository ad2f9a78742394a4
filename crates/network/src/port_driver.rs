//! Who listens on the host for published ports (`--port-driver`).
//!
//! Lichen's own is the forwarder, which listens in the host's network namespace. With slirp4netns' and pasta's the program
//! that leads out does that, and knows the router namespace only; so the forwarder is given a listener *there*, and goes on
//! as always.
//!
//! ```text
//!  lichen       client ── forwarder's listener (host) ───────────────────────────► container
//!  slirp4netns  client ── slirp4netns ── tap ── forwarder's listener (router) ───► container
//!  implicit     client ── pasta ──────── tap ── forwarder's listener (router) ───► container
//! ```
//!
//! slirp4netns is told of each port ([`slirp4netns`]); pasta finds them ([`implicit`]). Ports that a program cannot
//! express (on IPv6 addresses, on one address of the host's, below 1024) stay with the forwarder.

mod implicit;
mod slirp4netns;

use crate::error::{Error, Result};
use implicit::Implicit;
use netd::{
    client,
    proto::{Listen, Protocol},
};
use rustix::io::Errno;
use slirp4netns::Api;
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// `--port-driver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortDriver {
    #[default]
    Lichen,
    Slirp4netns,
    /// pasta's.
    Implicit,
}

impl PortDriver {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lichen => "lichen",
            Self::Slirp4netns => "slirp4netns",
            Self::Implicit => "implicit",
        }
    }
}

impl std::str::FromStr for PortDriver {
    type Err = Error;
    /// `builtin` is RootlessKit's name for what comes with it. Here the forwarder does that, and keeps more of the client's
    /// address.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" | "" | "lichen" | "builtin" => Ok(Self::Lichen),
            "slirp4netns" => Ok(Self::Slirp4netns),
            "implicit" => Ok(Self::Implicit),
            other => Err(Error::UnknownPortDriver { name: other.to_owned() }),
        }
    }
}

/// The port driver in use, and the ports that it leads.
pub(crate) struct Guide {
    program: Program,
    /// What each host port leads to in the router namespace.
    led: Mutex<BTreeMap<Listen, u16>>,
}

enum Program {
    None,
    Slirp4netns(Api),
    Pasta(Implicit),
}

impl Guide {
    /// `api` is slirp4netns' socket, `router` the namespace's address on the tap.
    pub(crate) fn new(driver: PortDriver, api: PathBuf, router: Ipv4Addr) -> Self {
        let program = match driver {
            PortDriver::Lichen => Program::None,
            PortDriver::Slirp4netns => Program::Slirp4netns(Api { socket: api, router }),
            PortDriver::Implicit => Program::Pasta(Implicit::default()),
        };
        Self { program, led: Mutex::default() }
    }

    pub(crate) fn driver(&self) -> PortDriver {
        match self.program {
            Program::None => PortDriver::Lichen,
            Program::Slirp4netns(_) => PortDriver::Slirp4netns,
            Program::Pasta(_) => PortDriver::Implicit,
        }
    }

    /// Whether it is another program than the forwarder.
    pub(crate) fn is_outside_program(&self) -> bool {
        self.driver() != PortDriver::Lichen
    }

    /// Whether that program listens for this port, and the forwarder in the router namespace.
    pub(crate) fn guides(&self, listen: &Listen) -> bool {
        match &self.program {
            Program::None => false,
            Program::Slirp4netns(_) => listen.address.is_ipv4(),
            Program::Pasta(_) => implicit::finds(listen),
        }
    }

    /// A listener in the calling thread's network namespace, which is the router's, for a port of the host's.
    pub(crate) fn listener(&self, listen: Listen) -> io::Result<(OwnedFd, u16)> {
        let at = match &self.program {
            Program::Pasta(_) => listen.address,
            _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        };
        match listen.protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(at)?;
                let port = listener.local_addr()?.port();
                Ok((listener.into(), port))
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(at)?;
                let port = socket.local_addr()?.port();
                Ok((socket.into(), port))
            }
            Protocol::Sctp => Err(Errno::PROTONOSUPPORT.into()),
        }
    }

    /// Whether the host's port can be had at all, in the calling thread's network namespace, which is the host's: the
    /// programs do not say why they fail.
    pub(crate) fn check(&self, listen: Listen) -> Result<(), client::Error> {
        if self.lock().contains_key(&listen) {
            // The program has it.
            return Ok(());
        }
        let tried = match &self.program {
            Program::Pasta(pasta) => pasta.try_bind(listen),
            _ => bind(listen),
        };
        tried.map_err(|errno| failed(listen, "bind", errno))
    }

    /// Leads a port of the host's to `port` of the router namespace, and no longer to another one.
    pub(crate) fn lead(&self, listen: Listen, port: u16) -> Result<(), client::Error> {
        let before = self.lock().insert(listen, port);
        let told = match &self.program {
            Program::None => Ok(()),
            Program::Slirp4netns(api) => api.drop_led(listen).and_then(|()| api.tell(listen, port)),
            Program::Pasta(_) if before.is_some() => Ok(()),
            Program::Pasta(pasta) => pasta.wait_found(listen),
        };
        match (told, before) {
            (Ok(()), _) => Ok(()),
            // The forwarder has been started again while the program is away: that is told when it is back.
            (Err(error), Some(_)) => {
                tracing::warn!(%error, ?listen, "a published port leads nowhere until the driver is back");
                Ok(())
            }
            (Err(error), None) => {
                self.lock().remove(&listen);
                let driver = self.driver().as_str();
                Err(failed(listen, &format!("lead by {driver}"), errno(error)))
            }
        }
    }

    pub(crate) fn withdraw(&self, listens: &[Listen]) -> io::Result<()> {
        let mut result = Ok(());
        for listen in listens {
            let was_led = self.lock().remove(listen).is_some();
            match &self.program {
                Program::Slirp4netns(api) if was_led => result = result.and(api.drop_led(*listen)),
                Program::Pasta(pasta) if was_led => pasta.lose(*listen),
                _ => {}
            }
        }
        result
    }

    /// Ports that containers of an earlier engine's have.
    pub(crate) fn adopt(&self, listens: impl Iterator<Item = Listen>) {
        if matches!(self.program, Program::Pasta(_)) {
            let led = listens.filter(|l| self.guides(l)).map(|l| (l, l.address.port()));
            self.lock().extend(led);
        }
    }

    /// After the program was started: tells it of every port. After one was found that ran on: learns what it leads.
    pub(crate) fn restore(&self, found: bool) -> io::Result<()> {
        let Program::Slirp4netns(api) = &self.program else { return Ok(()) };
        if found {
            let led = api.led()?;
            self.lock().extend(led);
            return Ok(());
        }
        let led = self.lock().clone();
        led.into_iter().try_for_each(|(listen, port)| api.tell_again(listen, port))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Listen, u16>> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries to bind a port, and lets go of it again.
fn bind(listen: Listen) -> Result<(), Errno> {
    match listen.protocol {
        Protocol::Tcp => TcpListener::bind(listen.address).map(drop).map_err(errno),
        Protocol::Udp => UdpSocket::bind(listen.address).map(drop).map_err(errno),
        Protocol::Sctp => Err(Errno::PROTONOSUPPORT),
    }
}

fn failed(listen: Listen, operation: &str, errno: Errno) -> client::Error {
    client::Error::Port { listen, operation: operation.to_owned(), errno: errno.raw_os_error() }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_have_rootlesskits_names() {
        let parse = |text: &str| text.parse::<PortDriver>();
        assert_eq!(parse("builtin").unwrap(), PortDriver::Lichen);
        assert_eq!(parse("slirp4netns").unwrap().as_str(), "slirp4netns");
        assert_eq!(parse("implicit").unwrap().as_str(), "implicit");
        assert!(parse("gvisor").unwrap_err().to_string().contains("slirp4netns"));
    }
}
