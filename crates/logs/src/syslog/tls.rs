//! `tcp+tls://`.

use super::{TlsFiles, address::Remote};
use crate::{Error, Result};
use rustls::ClientConnection;
use std::sync::Arc;
use tls::{Own, Trust};

pub(super) fn client(files: &TlsFiles, remote: &Remote) -> Result<ClientConnection> {
    let trust = match &files.ca {
        _ if files.skip_verify => Trust::Anybody,
        Some(file) => Trust::Authorities(file),
        None => Trust::System,
    };
    let own = files.own.as_ref().map(|(certificate, key)| Own { certificate, key });
    let config = tls::client(trust, own)?;
    ClientConnection::new(Arc::new(config), tls::server_name(&remote.host)?)
        .map_err(|error| Error::Tls(tls::Error { what: remote.to_string(), reason: error.to_string() }))
}
