//! The sockets of `-H`, bound.

use super::tls;
use crate::daemon::{config::Config, engine_process::FIRST_ACTIVATED, hosts::Host};
use anyhow::{Context, Result, ensure};
use api::Listener;
use rustix::net::AddressFamily;
use std::os::fd::OwnedFd;
use tokio_rustls::TlsAcceptor;

/// Call it inside the runtime: the sockets are registered with its poller.
pub(super) fn open(config: &Config) -> Result<Vec<Listener>> {
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let mut listeners = Vec::new();
    for host in &config.hosts {
        match host {
            Host::Unix(path) => {
                let failed = || format!("can't create unix socket {}", path.display());
                listeners.push(Listener::bind_unix(path).with_context(failed)?);
            }
            Host::Tcp { host, port } => {
                let socket = std::net::TcpListener::bind((host.as_str(), *port));
                let socket = socket.with_context(|| format!("listen on tcp://{host}:{port}"))?;
                listeners.push(Listener::from_tcp(socket, tls.clone())?);
            }
            Host::Activated(_) => listeners.extend(activated(&tls)?),
        }
    }
    Ok(listeners)
}

/// Removes the unix sockets that [`open`] made, so that clients are told that nobody is there.
pub(super) fn remove(config: &Config) {
    for host in &config.hosts {
        if let Host::Unix(path) = host
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("remove {}: {error}", path.display());
        }
    }
}

/// Sockets that the service manager passed through the launcher (sd_listen_fds(3)).
fn activated(tls: &Option<TlsAcceptor>) -> Result<Vec<Listener>> {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    ensure!(
        count > 0,
        "no sockets found via socket activation: make sure the service was started by systemd"
    );
    (FIRST_ACTIVATED..FIRST_ACTIVATED + count).map(|fd| one(sys::fds::take_inherited(fd)?, tls)).collect()
}

fn one(fd: OwnedFd, tls: &Option<TlsAcceptor>) -> Result<Listener> {
    Ok(match rustix::net::sockopt::socket_domain(&fd).context("look at an activated socket")? {
        AddressFamily::UNIX => Listener::from_unix(fd.into())?,
        _ => Listener::from_tcp(fd.into(), tls.clone())?,
    })
}
