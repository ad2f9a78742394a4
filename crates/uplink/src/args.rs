//! The command line.

use std::{ffi::OsString, path::PathBuf};

/// What a program speaks over its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// vpnkit's own.
    Vpnkit,
    /// What qemu(1) speaks with `-netdev stream`, as gvproxy takes with `-listen-qemu`.
    Qemu,
}

impl Protocol {
    /// As `--relay` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vpnkit => "vpnkit",
            Self::Qemu => "qemu",
        }
    }
}

/// A program that takes frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub protocol: Protocol,
    /// Where it listens.
    pub socket: PathBuf,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// The router namespace.
    pub router: PathBuf,
    pub interface: String,
    /// None when somebody else makes the interface.
    pub peer: Option<Peer>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unknown argument {0:?}: expected --router, --interface, --relay, --socket or -- PROGRAM")]
    Unknown(OsString),
    #[error("{0} is missing")]
    Missing(&'static str),
}

impl Args {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let (mut router, mut interface, mut relay, mut socket) = (None, None, None, None);
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let slot = match arg.to_str() {
                Some("--router") => &mut router,
                Some("--interface") => &mut interface,
                Some("--relay") => &mut relay,
                Some("--socket") => &mut socket,
                Some("--") => break,
                _ => return Err(Error::Unknown(arg)),
            };
            *slot = args.next();
        }
        let protocol = match relay.as_ref().map(|r| r.to_str()) {
            None => None,
            Some(Some("vpnkit")) => Some(Protocol::Vpnkit),
            Some(Some("qemu")) => Some(Protocol::Qemu),
            Some(_) => return Err(Error::Unknown(relay.unwrap_or_default())),
        };
        let peer = match protocol {
            None => None,
            Some(protocol) => Some(Peer {
                protocol,
                socket: socket.ok_or(Error::Missing("--socket PATH"))?.into(),
                program: args.next().ok_or(Error::Missing("-- PROGRAM"))?.into(),
                arguments: args.collect(),
            }),
        };
        let interface = interface.and_then(|i| i.into_string().ok());
        Ok(Self {
            router: router.ok_or(Error::Missing("--router NAMESPACE"))?.into(),
            interface: interface.ok_or(Error::Missing("--interface NAME"))?,
            peer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, Error> {
        Args::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn a_relay_needs_a_socket_and_a_program() {
        let lease_only = parse(&["--router", "/r", "--interface", "tap0"]).unwrap();
        assert_eq!(lease_only.peer, None);
        let base = ["--router", "/r", "--interface", "tap0", "--relay", "qemu"];
        assert_eq!(parse(&base), Err(Error::Missing("--socket PATH")));
        let with_socket = [&base[..], &["--socket", "/s"]].concat();
        assert_eq!(parse(&with_socket), Err(Error::Missing("-- PROGRAM")));
        let whole = [&with_socket[..], &["--", "/bin/p", "-x", "--router"]].concat();
        let peer = parse(&whole).unwrap().peer.unwrap();
        assert_eq!((peer.protocol, peer.arguments), (Protocol::Qemu, vec!["-x".into(), "--router".into()]));
        assert_eq!(parse(&["--relay", "x"]), Err(Error::Unknown("x".into())));
    }
}
