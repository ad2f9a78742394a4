//! Who listens on the host for published ports (`--port-driver`).
//!
//! Lichen's own is the forwarder, which listens in the host's network namespace. With slirp4netns' the program that leads
//! out does that, and knows the router namespace only; so the forwarder is given a listener *there*, and goes on as
//! always.
//!
//! ```text
//!  lichen       client ── forwarder's listener (host) ───────────────────────────► container
//!  slirp4netns  client ── slirp4netns ── tap ── forwarder's listener (router) ───► container
//! ```
//!
//! slirp4netns is told of each port over its API socket (slirp4netns(1), "API SOCKET"): any port of the router's will
//! do. Ports on IPv6 addresses stay with the forwarder.

use crate::error::{Error, Result};
use netd::{
    client,
    proto::{Listen, Protocol},
};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// `--port-driver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortDriver {
    #[default]
    Lichen,
    Slirp4netns,
}

impl PortDriver {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lichen => "lichen",
            Self::Slirp4netns => "slirp4netns",
        }
    }
}

impl std::str::FromStr for PortDriver {
    type Err = Error;
    /// `builtin` and `implicit` are RootlessKit's names for what comes with it and with pasta. Here the forwarder does
    /// that, with what either keeps of the client's address and more.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" | "" | "lichen" | "builtin" | "implicit" => Ok(Self::Lichen),
            "slirp4netns" => Ok(Self::Slirp4netns),
            other => Err(Error::UnknownPortDriver { name: other.to_owned() }),
        }
    }
}

/// How long slirp4netns may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// The port driver in use, and the ports that it leads.
pub(crate) struct Guide {
    driver: PortDriver,
    api: PathBuf,
    /// The address at which the router namespace is reached from the tap.
    router: Ipv4Addr,
    /// What each host port leads to in the router namespace.
    led: Mutex<BTreeMap<Listen, u16>>,
}

/// One entry of slirp4netns' list.
#[derive(Debug, Deserialize)]
struct Entry {
    id: u64,
    proto: String,
    host_addr: String,
    host_port: u16,
    guest_port: u16,
}

impl Guide {
    pub(crate) fn new(driver: PortDriver, api: PathBuf, router: Ipv4Addr) -> Self {
        Self { driver, api, router, led: Mutex::default() }
    }

    pub(crate) fn driver(&self) -> PortDriver {
        self.driver
    }

    /// Whether it is another program than the forwarder.
    pub(crate) fn is_outside_program(&self) -> bool {
        self.driver != PortDriver::Lichen
    }

    /// Whether that program listens for this port, and the forwarder in the router namespace.
    pub(crate) fn guides(&self, listen: &Listen) -> bool {
        match self.driver {
            PortDriver::Lichen => false,
            PortDriver::Slirp4netns => listen.address.is_ipv4(),
        }
    }

    /// A listener in the calling thread's network namespace, which is the router's, for a port of the host's.
    pub(crate) fn listener(&self, listen: Listen) -> io::Result<(OwnedFd, u16)> {
        let at = (Ipv4Addr::UNSPECIFIED, 0);
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
    /// program does not say why it fails.
    pub(crate) fn check(&self, listen: Listen) -> Result<(), client::Error> {
        if self.lock().contains_key(&listen) {
            // slirp4netns has it.
            return Ok(());
        }
        let tried = match listen.protocol {
            Protocol::Tcp => TcpListener::bind(listen.address).map(drop).map_err(errno),
            Protocol::Udp => UdpSocket::bind(listen.address).map(drop).map_err(errno),
            Protocol::Sctp => Err(Errno::PROTONOSUPPORT),
        };
        tried.map_err(|errno| failed(listen, "bind", errno))
    }

    /// Leads a port of the host's to `port` of the router namespace, and no longer to another one.
    pub(crate) fn lead(&self, listen: Listen, port: u16) -> Result<(), client::Error> {
        let before = self.lock().insert(listen, port);
        let told = self.drop_led(listen).and_then(|()| self.tell(listen, port));
        match (told, before) {
            (Ok(()), _) => Ok(()),
            // The forwarder has been started again while slirp4netns is away: that is told when it is back.
            (Err(error), Some(_)) => {
                tracing::warn!(%error, ?listen, "a published port leads nowhere until slirp4netns is back");
                Ok(())
            }
            (Err(error), None) => {
                self.lock().remove(&listen);
                Err(failed(listen, "slirp4netns add_hostfwd", errno(error)))
            }
        }
    }

    pub(crate) fn withdraw(&self, listens: &[Listen]) -> io::Result<()> {
        let mut result = Ok(());
        for listen in listens {
            if self.lock().remove(listen).is_some() && self.driver == PortDriver::Slirp4netns {
                result = result.and(self.drop_led(*listen));
            }
        }
        result
    }

    /// After slirp4netns was started: tells it of every port. After one was found that ran on: learns what it leads.
    pub(crate) fn restore(&self, found: bool) -> io::Result<()> {
        if self.driver != PortDriver::Slirp4netns {
            return Ok(());
        }
        if found {
            let entries = self.entries()?;
            self.lock().extend(entries.iter().filter_map(|e| Some((e.listen()?, e.guest_port))));
            return Ok(());
        }
        let led = self.lock().clone();
        led.into_iter().try_for_each(|(listen, port)| self.tell_again(listen, port))
    }

    /// It says that its interface is configured before its socket is there, and the ports of a predecessor that was
    /// killed may take a moment to be free.
    fn tell_again(&self, listen: Listen, port: u16) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.tell(listen, port) {
                Err(_) if Instant::now() < end => thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Listen, u16>> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, listen: Listen, port: u16) -> io::Result<()> {
        let arguments = json!({
            "proto": listen.protocol.to_string(),
            "host_addr": listen.address.ip().to_string(),
            "host_port": listen.address.port(),
            "guest_addr": self.router.to_string(),
            "guest_port": port,
        });
        ask(&self.api, &json!({ "execute": "add_hostfwd", "arguments": arguments })).map(drop)
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut answer = ask(&self.api, &json!({ "execute": "list_hostfwd" }))?;
        serde_json::from_value(answer["entries"].take()).map_err(io::Error::other)
    }

    fn drop_led(&self, listen: Listen) -> io::Result<()> {
        for entry in self.entries()?.into_iter().filter(|entry| entry.listen() == Some(listen)) {
            ask(&self.api, &json!({ "execute": "remove_hostfwd", "arguments": { "id": entry.id } }))?;
        }
        Ok(())
    }
}

impl Entry {
    fn listen(&self) -> Option<Listen> {
        let address = SocketAddr::new(self.host_addr.parse().ok()?, self.host_port);
        Some(Listen { protocol: self.proto.parse().ok()?, address })
    }
}

fn failed(listen: Listen, operation: &str, errno: Errno) -> client::Error {
    client::Error::Port { listen, operation: operation.to_owned(), errno: errno.raw_os_error() }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// One request and its answer: the connection serves for no more.
fn ask(api: &Path, request: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(api)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.to_string().as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let mut answer: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    match answer.get("error") {
        Some(error) => Err(io::Error::other(format!("slirp4netns: {error}"))),
        // Lists come without the envelope that other results have (api.c, `api_handle_req_list_hostfwd`).
        None if answer.get("return").is_some() => Ok(answer["return"].take()),
        None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_have_rootlesskits_names() {
        let parse = |text: &str| text.parse::<PortDriver>();
        assert_eq!(parse("builtin").unwrap(), PortDriver::Lichen);
        assert_eq!(parse("slirp4netns").unwrap().as_str(), "slirp4netns");
        assert!(parse("gvisor").unwrap_err().to_string().contains("slirp4netns"));
    }
}
