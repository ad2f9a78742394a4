//! A syslog server: formats, addresses and TLS as Docker's driver has them (moby `daemon/logger/syslog`).
//!
//! # Theory of operation
//! A connection is made when there is something to send. TCP tells of a server's end only after a send into the void,
//! so before each send the socket is asked whether the other side has closed it; then, and when a send fails, the
//! connection is made anew and the caller tries the same entry again.

mod address;
mod connection;
mod message;
mod tls;

use crate::config::invalid;
use crate::options::parse_bool;
use crate::{Entry, Error, Identity, Result};
pub use address::Address;
use connection::Connection;
pub use message::Format;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of this driver alone.
pub(crate) const OPTIONS: [&str; 7] = [
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub address: Address,
    /// syslog(3), 0 to 23.
    pub facility: u8,
    pub format: Format,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: Option<PathBuf>,
    /// Certificate and key of ours.
    pub own: Option<(PathBuf, PathBuf)>,
    pub skip_verify: bool,
}

impl Options {
    pub(crate) fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let option = |name: &str| options.get(name).map(String::as_str).filter(|v| !v.is_empty());
        let path = |name| option(name).map(PathBuf::from);
        let own = match (path("syslog-tls-cert"), path("syslog-tls-key")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                let reason = "syslog-tls-cert and syslog-tls-key go together";
                return Err(invalid("syslog-tls-cert", &one.to_string_lossy(), reason));
            }
        };
        let skip_verify = match option("syslog-tls-skip-verify") {
            None => false,
            // As moby: the option's presence with any other value than a false one.
            Some(value) => parse_bool(value).unwrap_or(true),
        };
        Ok(Self {
            address: Address::parse(option("syslog-address").unwrap_or_default())?,
            facility: facility(option("syslog-facility").unwrap_or("daemon"))?,
            format: Format::parse(option("syslog-format").unwrap_or_default())?,
            tls: TlsFiles { ca: path("syslog-tls-ca-cert"), own, skip_verify },
        })
    }
}

/// syslog(3), in the order of their numbers.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "",
    "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

fn facility(text: &str) -> Result<u8> {
    let by_name = FACILITIES.iter().position(|name| *name == text);
    let found = by_name.or_else(|| text.parse().ok()).filter(|n| *n < FACILITIES.len());
    found
        .and_then(|n| u8::try_from(n).ok())
        .ok_or_else(|| invalid("syslog-facility", text, "expected a facility's name, or 0 to 23"))
}

/// The server, for one container.
#[derive(Debug)]
pub struct Syslog {
    options: Options,
    identity: Identity,
    host: String,
    connection: Option<Connection>,
}

impl Syslog {
    pub(crate) fn new(options: Options, identity: Identity) -> Result<Self> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Self { options, identity, host, connection: None })
    }

    /// Connect, unless that is done.
    pub(crate) fn connect(&mut self) -> Result<()> {
        if self.connection.as_mut().is_some_and(Connection::was_closed) {
            self.connection = None;
        }
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.options)?);
        }
        Ok(())
    }

    pub(crate) fn deliver(&mut self, entry: &Entry) -> Result<()> {
        self.connect()?;
        let tls = self.options.address.is_tls();
        let about = message::About {
            facility: self.options.facility,
            host: &self.host,
            tag: &self.identity.tag,
            process: rustix::process::getpid().as_raw_pid(),
        };
        let bytes = message::render(self.options.format, tls, &about, entry);
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let sent = connection.send(&bytes);
        sent.map_err(|source| {
            // What was sent of it, if anything, was sent to a connection that is no more.
            self.connection = None;
            Error::Syslog { operation: "send to", server: self.options.address.to_string(), source }
        })
    }
}
