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
    let config = tls::client(trust, own).map_err(failed)?;
    let name = tls::server_name(&remote.host).map_err(failed)?;
    ClientConnection::new(Arc::new(config), name)
        .map_err(|error| Error::Tls { what: remote.to_string(), reason: error.to_string() })
}

fn failed(error: tls::Error) -> Error {
    match error {
        tls::Error::Unusable { what, reason } => Error::Tls { what, reason },
        tls::Error::NoAuthorities => Error::NoAuthorities,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_authorities_the_option_is_told() {
        let told = failed(tls::Error::NoAuthorities).to_string();
        assert!(told.contains("log opt 'syslog-tls-ca-cert'"), "{told}");
    }
}
