//! `tcp+tls://`.

use super::{TlsFiles, address::Remote};
use crate::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// Where distributions keep the certificates they trust (as Go's `crypto/x509` looks for them).
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn client(files: &TlsFiles, remote: &Remote) -> Result<ClientConnection> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed("protocol versions"))?;
    let builder = if files.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        let roots = Arc::new(roots(files.ca.as_deref())?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(failed("trusted certificates"))?;
        builder.dangerous().with_custom_certificate_verifier(verifier)
    };
    let config = match &files.own {
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key.display()))?;
            builder.with_client_auth_cert(chain, key).map_err(failed(certificate.display()))?
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(remote.host.clone()).map_err(failed(&remote.host))?;
    ClientConnection::new(Arc::new(config), name).map_err(failed(remote))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let system = || TRUSTED.iter().map(Path::new).find(|path| path.exists());
    let path = ca.or_else(system).ok_or_else(|| Error::Tls {
        what: "trusted certificates".to_owned(),
        reason: "this host has none: give syslog-tls-ca-cert".to_owned(),
    })?;
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(Error::Tls {
            what: path.display().to_string(),
            reason: "no certificate in it".to_owned(),
        });
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(failed(path.display()))
}

fn failed<E: ToString>(what: impl ToString) -> impl FnOnce(E) -> Error {
    move |error| Error::Tls { what: what.to_string(), reason: error.to_string() }
}

/// `syslog-tls-skip-verify`: whoever answers is believed; that the answers are of one and the same is still checked.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
