//! `syslog-address`.

use crate::{Error, Result};
use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Whichever of the usual local sockets there is.
    Local,
    Unix(PathBuf),
    UnixDatagram(PathBuf),
    Udp(Remote),
    Tcp(Remote),
    Tls(Remote),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
}

/// moby `daemon/logger/syslog/syslog.go`.
const DEFAULT_PORT: u16 = 514;

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::Local);
        }
        let refuse = || Error::SyslogAddress(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(refuse)?;
        if rest.is_empty() {
            return Err(refuse());
        }
        let remote = || Remote::parse(rest).ok_or_else(refuse);
        match scheme {
            "unix" => Ok(Self::Unix(rest.into())),
            "unixgram" => Ok(Self::UnixDatagram(rest.into())),
            "udp" => Ok(Self::Udp(remote()?)),
            "tcp" => Ok(Self::Tcp(remote()?)),
            "tcp+tls" => Ok(Self::Tls(remote()?)),
            _ => Err(refuse()),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl Remote {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
            }
            None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(DEFAULT_PORT), |p| p.parse().ok())?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("on this host (/dev/log)"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::UnixDatagram(path) => write!(f, "unixgram://{}", path.display()),
            Self::Udp(remote) => write!(f, "udp://{remote}"),
            Self::Tcp(remote) => write!(f, "tcp://{remote}"),
            Self::Tls(remote) => write!(f, "tcp+tls://{remote}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("udp://10.0.0.1", "udp://10.0.0.1:514"),
            ("tcp://[::1]:6514", "tcp://[::1]:6514"),
            ("tcp+tls://logs.example:6514", "tcp+tls://logs.example:6514"),
            ("unixgram:///dev/log", "unixgram:///dev/log"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["127.0.0.1:514", "http://x", "tcp://", "udp://x:port", "tcp://:514", "tcp://[::1"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
