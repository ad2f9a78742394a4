//! The command line.

use crate::outward::Settings;
use std::{ffi::OsString, path::PathBuf};

/// What the forwarder is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// Where the control socket is to be.
    pub socket: PathBuf,
    /// Where to leave word of who it is.
    pub state: PathBuf,
    /// The router namespace.
    pub router: PathBuf,
    /// Clients appear as the gateway: the kernel cannot route replies to transparent sockets.
    pub gateway_sources: bool,
    /// Lead out as well.
    pub outward: Option<Settings>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "unknown argument {0:?}: expected --socket, --state, --router, --gateway-sources, --outward or --host-loopback"
    )]
    Unknown(OsString),
    #[error("{0} is missing")]
    Missing(&'static str),
}

impl Args {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let (mut socket, mut state, mut router) = (None, None, None);
        let (mut gateway_sources, mut outward, mut host_loopback) = (false, false, false);
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let slot = match arg.to_str() {
                Some("--socket") => &mut socket,
                Some("--state") => &mut state,
                Some("--router") => &mut router,
                Some("--gateway-sources") => {
                    gateway_sources = true;
                    continue;
                }
                Some("--outward") => {
                    outward = true;
                    continue;
                }
                Some("--host-loopback") => {
                    host_loopback = true;
                    continue;
                }
                _ => return Err(Error::Unknown(arg)),
            };
            *slot = args.next().map(PathBuf::from);
        }
        Ok(Self {
            socket: socket.ok_or(Error::Missing("--socket PATH"))?,
            state: state.ok_or(Error::Missing("--state FILE"))?,
            router: router.ok_or(Error::Missing("--router NAMESPACE"))?,
            gateway_sources,
            outward: outward.then_some(Settings { host_loopback }),
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
    fn all_three_paths_are_needed() {
        let args = parse(&["--socket", "s", "--router", "r", "--gateway-sources", "--state", "t"]).unwrap();
        assert_eq!((args.socket, args.router, args.gateway_sources), ("s".into(), "r".into(), true));
        assert_eq!(args.outward, None);
        let args = parse(&["--socket", "s", "--router", "r", "--state", "t", "--outward", "--host-loopback"]);
        assert_eq!(args.unwrap().outward, Some(Settings { host_loopback: true }));
        assert_eq!(parse(&["--socket", "s", "--state", "t"]), Err(Error::Missing("--router NAMESPACE")));
        assert_eq!(parse(&["--socket", "s", "--state"]), Err(Error::Missing("--state FILE")));
        assert_eq!(parse(&["--port", "1"]), Err(Error::Unknown("--port".into())));
    }
}
