//! The sockets of `-H`, which the launcher has opened.

use super::tls;
use crate::daemon::{
    config::Config,
    engine_process::{FIRST_LISTENER, PORT_SOCKETS},
};
use anyhow::{Context, Result, ensure};
use api::Listener;
use rustix::net::AddressFamily;
use std::os::fd::OwnedFd;
use tokio_rustls::TlsAcceptor;

/// What the launcher opened or was given.
pub(super) struct Inherited {
    pub api: Vec<OwnedFd>,
    /// For published ports.
    pub ports: Vec<OwnedFd>,
}

/// Takes them over, before anything else is started, which would inherit them and keep them open.
pub(super) fn inherited() -> Result<Inherited> {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    ensure!(count > 0, "no sockets to listen on: this is started by `lichen daemon`");
    let mut api: Vec<OwnedFd> =
        (FIRST_LISTENER..FIRST_LISTENER + count).map(sys::fds::take_inherited).collect::<Result<_, _>>()?;
    let ports = std::env::var(PORT_SOCKETS).ok().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    ensure!(ports < api.len(), "{PORT_SOCKETS}={ports} leaves no socket to listen on");
    let ports = api.split_off(api.len() - ports);
    Ok(Inherited { api, ports })
}

/// Call it inside the runtime: the sockets are registered with its poller.
pub(super) fn open(config: &Config, sockets: Vec<OwnedFd>) -> Result<Vec<Listener>> {
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    sockets.into_iter().map(|socket| one(socket, &tls)).collect()
}

fn one(fd: OwnedFd, tls: &Option<TlsAcceptor>) -> Result<Listener> {
    Ok(match rustix::net::sockopt::socket_domain(&fd).context("look at a listening socket")? {
        AddressFamily::UNIX => Listener::from_unix(fd.into())?,
        _ => Listener::from_tcp(fd.into(), tls.clone())?,
    })
}
