//! `-H`: where the API is served.

use super::error::{Error, Result};
use std::path::{Path, PathBuf};

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
    },
    /// Sockets passed by systemd; all of them, or the one with this number or name.
    Activated(String),
}

impl Host {
    /// Docker's forms (moby `opts.ParseHost`): `unix://PATH`, `tcp://[HOST][:PORT]`, `HOST:PORT`, `fd://[NAME]`.
    pub(crate) fn parse(text: &str, default_socket: &Path, tls: bool) -> Result<Self> {
        let invalid = |reason: &str| Error::invalid("host", text, reason);
        let trimmed = text.trim();
        let (scheme, rest) = trimmed.split_once("://").unwrap_or(("tcp", trimmed));
        match scheme {
            _ if trimmed.is_empty() => Ok(Self::Unix(default_socket.to_owned())),
            "unix" if rest.is_empty() => Ok(Self::Unix(default_socket.to_owned())),
            "unix" if Path::new(rest).is_absolute() => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(invalid("expected an absolute path")),
            "fd" => Ok(Self::Activated(rest.to_owned())),
            "tcp" => tcp(rest, if tls { 2376 } else { 2375 }).ok_or_else(|| invalid("invalid bind address")),
            _ => Err(invalid("expected unix://, tcp:// or fd://")),
        }
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            _ => true,
        }
    }
}

fn tcp(address: &str, default_port: u16) -> Option<Host> {
    let address = address.trim_end_matches('/');
    let (host, port) = match address.rsplit_once(':') {
        // The colon of an IPv6 address without a port.
        Some((_, tail)) if tail.contains(']') => (address, None),
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    let port = match port {
        None | Some("") => default_port,
        Some(port) => port.parse().ok()?,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let valid = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:%".contains(c));
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    valid.then(|| Host::Tcp { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<Host> {
        Host::parse(text, Path::new("/run/d.sock"), false).ok()
    }

    fn at(host: &str, port: u16) -> Option<Host> {
        Some(Host::Tcp { host: host.to_owned(), port })
    }

    #[test]
    fn dockers_forms_are_read() {
        assert_eq!(host("unix:///a/b"), Some(Host::Unix("/a/b".into())));
        assert_eq!(host("unix://"), Some(Host::Unix("/run/d.sock".into())));
        assert_eq!(host(""), Some(Host::Unix("/run/d.sock".into())));
        assert_eq!(host("fd://"), Some(Host::Activated(String::new())));
        assert_eq!(host("tcp://"), at("127.0.0.1", 2375));
        assert_eq!(host("tcp://0.0.0.0:80"), at("0.0.0.0", 80));
        assert_eq!(host("[::1]:99"), at("::1", 99));
        assert_eq!(host("tcp://[::1]"), at("::1", 2375));
        assert_eq!(host("localhost:1234"), at("localhost", 1234));
    }

    #[test]
    fn others_are_refused() {
        for text in
            ["unix://relative", "npipe:////./pipe/x", "ssh://a", "tcp://host:port", "tcp://a/b:1", "http://x"]
        {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_is_local() {
        assert!(
            host("tcp://127.0.0.1:1").unwrap().is_local() && host("tcp://localhost:1").unwrap().is_local()
        );
        assert!(!host("tcp://0.0.0.0:1").unwrap().is_local());
    }
}
