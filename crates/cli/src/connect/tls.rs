//! TLS over TCP, with a client certificate where there is one.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::dial::Stream;
use super::endpoint::TlsFiles;
use crate::config::contexts::TlsFile;
use crate::error::Error;

pub(super) async fn handshake(files: &TlsFiles, address: &str, stream: TcpStream) -> Result<Stream, Error> {
    let config = client_config(files)?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(address, error))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|source| Error::Connect { operation: format!("TLS handshake with {address}"), source })?;
    Ok(Box::new(stream))
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Connect { operation: format!("TLS set-up for {what}"), source: std::io::Error::other(error) }
}

fn client_config(files: &TlsFiles) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("this client", error))?;
    let builder = match files.verify {
        true => builder.with_root_certificates(roots(files)?),
        false => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider))),
    };
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let key_der =
                PrivateKeyDer::from_pem_file(key).map_err(|e| failed(&key.display().to_string(), e))?;
            builder
                .with_client_auth_cert(certificates(cert)?, key_der)
                .map_err(|e| failed(&cert.display().to_string(), e))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
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

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| failed(&path.display().to_string(), error))
}

/// The given authority alone, or those the system trusts.
fn roots(files: &TlsFiles) -> Result<RootCertStore, Error> {
    const SYSTEM: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
    let system = SYSTEM.iter().map(Path::new).find(|path| path.exists());
    let mut roots = RootCertStore::empty();
    if let Some(path) = files.ca.as_deref().or(system) {
        roots.add_parsable_certificates(certificates(path)?);
    }
    Ok(roots)
}

/// `--tls` without `--tlsverify`: encrypted, but to whom is not checked. The user asked for exactly that.
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
