//! TLS on TCP sockets: `--tls`, and `--tlsverify` for clients that must show a certificate.

use crate::daemon::remote::Tls;
use anyhow::{Context, Result};
use std::{path::Path, sync::Arc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key);
    let key = key.with_context(|| format!("read the TLS key {}", tls.key.display()))?;
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let config = if tls.verify {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&tls.ca)? {
            roots.add(certificate).with_context(|| format!("trust {}", tls.ca.display()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)
    } else {
        builder.with_no_client_auth().with_single_cert(chain, key)
    };
    Ok(TlsAcceptor::from(Arc::new(config.context("use the TLS certificate and key")?)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| format!("read the certificate {}", path.display()))
}
