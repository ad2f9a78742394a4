//! The sockets of `-H`, which the launcher has opened.

use super::tls;
use crate::daemon::{config::Config, engine_process::FIRST_LISTENER};
use anyhow::{Context, Result, ensure};
use api::Listener;
use rustix::net::AddressFamily;
use std::os::fd::OwnedFd;
use tokio_rustls::TlsAcceptor;

/// Takes them over, before anything else is started, which would inherit them and keep them open.
pub(super) fn inherited() -> Result<Vec<OwnedFd>> {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    ensure!(count > 0, "no sockets to listen on: this is started by `lichen daemon`");
    Ok((FIRST_LISTENER..FIRST_LISTENER + count).map(sys::fds::take_inherited).collect::<Result<_, _>>()?)
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
