//! TLS as a client: whom it trusts, and what it shows of itself.
//!
//! [`client`] makes the configuration for both of those who connect somewhere by TLS with files that a user named: the
//! command line to an engine, and a log driver to its server. Sockets are theirs.
#![forbid(unsafe_code)]

mod anybody;

use anybody::Anybody;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Where distributions keep the certificates they trust (as Go's `crypto/x509` looks for them).
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Which servers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Those that the authorities in this file vouch for, and no others.
    Authorities(&'a Path),
    /// Those that the system's authorities vouch for.
    System,
    /// All: the user asked for encryption, to whomever.
    Anybody,
}

/// A certificate of ours, for servers that ask for one, and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own<'a> {
    pub certificate: &'a Path,
    pub key: &'a Path,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `what` is a file, or what else was looked at.
    #[error("{what}: {reason}")]
    Unusable { what: String, reason: String },
    /// For [`Trust::System`]. The option that names a file instead is the caller's to say.
    #[error("this host has no trusted certificates (package ca-certificates)")]
    NoAuthorities,
}

/// # Errors
/// A file that cannot be read or holds nothing of its kind, and a system without authorities.
pub fn client(trust: Trust<'_>, own: Option<Own<'_>>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed("protocol versions"))?;
    let builder = match trust {
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(provider)))
        }
        Trust::Authorities(file) => builder.with_root_certificates(authorities(file)?),
        Trust::System => builder.with_root_certificates(authorities(system()?)?),
    };
    let Some(own) = own else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(own.key).map_err(failed(own.key.display()))?;
    let chain = certificates(own.certificate)?;
    builder.with_client_auth_cert(chain, key).map_err(failed(own.certificate.display()))
}

/// What the server's certificate has to be for: a name or an address.
pub fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(host.to_owned()).map_err(failed(host))
}

fn system() -> Result<&'static Path, Error> {
    SYSTEM.iter().map(Path::new).find(|path| path.exists()).ok_or(Error::NoAuthorities)
}

fn authorities(file: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(file)?);
    if added == 0 {
        return Err(failed(file.display())("no certificate in it"));
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(failed(file.display()))
}

fn failed<E: ToString>(what: impl ToString) -> impl FnOnce(E) -> Error {
    move |error| Error::Unusable { what: what.to_string(), reason: error.to_string() }
}
