//! The launcher's listening sockets, ready to be served.

use super::tls;
use crate::{handover::Kind, settings::Settings};
use anyhow::{Context, Result};
use api::Listener;
use std::os::fd::OwnedFd;

pub(super) struct Inherited {
    pub fd: OwnedFd,
    pub kind: Kind,
    pub address: String,
}

/// Call it inside the runtime: the sockets are registered with its poller.
pub(super) fn open(inherited: Vec<Inherited>, settings: &Settings) -> Result<Vec<Listener>> {
    let tls = tls::acceptor(settings)?;
    inherited
        .into_iter()
        .map(|socket| {
            let listener = match socket.kind {
                Kind::Unix => Listener::from_unix(socket.fd.into()),
                Kind::Tcp => Listener::from_tcp(socket.fd.into(), tls.clone()),
            };
            listener.with_context(|| format!("serve {}", socket.address))
        })
        .collect()
}
