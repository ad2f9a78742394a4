//! TLS over TCP, with a client certificate where there is one.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tls::{Own, Trust};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::dial::Stream;
use super::endpoint::TlsFiles;
use crate::config::contexts::TlsFile;
use crate::error::Error;

pub(super) async fn handshake(files: &TlsFiles, address: &str, stream: TcpStream) -> Result<Stream, Error> {
    let trust = match &files.ca {
        _ if !files.verify => Trust::Anybody,
        Some(file) => Trust::Authorities(file),
        None => Trust::System,
    };
    let own = match (&files.cert, &files.key) {
        (Some(certificate), Some(key)) => Some(Own { certificate, key }),
        _ => None,
    };
    let config = tls::client(trust, own).map_err(failed)?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = tls::server_name(host).map_err(failed)?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|source| Error::Connect { operation: format!("TLS handshake with {address}"), source })?;
    Ok(Box::new(stream))
}

fn failed(error: tls::Error) -> Error {
    let (operation, reason) = match error {
        tls::Error::Unusable { what, reason } => (format!("TLS set-up for {what}"), reason),
        missing @ tls::Error::NoAuthorities => (
            "TLS set-up".to_owned(),
            format!("{missing}: give --tlscacert a file with the authority of the engine's certificate"),
        ),
    };
    Error::Connect { operation, source: std::io::Error::other(reason) }
}

/// Refuses what no handshake could use, before it is kept for a context; in docker's words.
pub fn check(files: &[TlsFile]) -> Result<(), Error> {
    let find = |name: &str| files.iter().find(|file| file.name == name).map(|file| file.data.as_slice());
    let readable = |pem: &[u8]| {
        CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .is_ok_and(|found| !found.is_empty())
    };
    let refuse = |what: &str| {
        Err(Error::invalid(format!(
            "unable to create docker endpoint config: invalid docker endpoint options: failed to retrieve context tls info: {what}"
        )))
    };
    match (find("ca.pem"), find("cert.pem"), find("key.pem")) {
        (Some(ca), _, _) if !readable(ca) => refuse("ca.pem seems invalid"),
        (_, Some(_), None) | (_, None, Some(_)) => refuse("a certificate and its key go together"),
        (_, Some(cert), _) if !readable(cert) => refuse("cert.pem seems invalid"),
        (_, _, Some(key)) if PrivateKeyDer::from_pem_slice(key).is_err() => refuse("key.pem seems invalid"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_authorities_the_option_is_told() {
        let told = failed(tls::Error::NoAuthorities).to_string();
        assert!(told.contains("give --tlscacert a file"), "{told}");
    }
}
