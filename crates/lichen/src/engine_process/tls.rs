//! TLS on TCP sockets: `--tls`, and `--tlsverify` for clients that must show a certificate.

use crate::settings::Settings;
use anyhow::{Context, Result, bail};
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

/// None without TLS.
pub(super) fn acceptor(settings: &Settings) -> Result<Option<TlsAcceptor>> {
    if !settings.tls && !settings.tlsverify {
        return Ok(None);
    }
    let (Some(certificate), Some(key)) = (&settings.tlscert, &settings.tlskey) else {
        bail!("TLS needs both --tlscert and --tlskey");
    };
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("read the TLS key {}", key.display()))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let config = if settings.tlsverify {
        let Some(ca) = &settings.tlscacert else { bail!("--tlsverify needs --tlscacert") };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).with_context(|| format!("trust {}", ca.display()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)
    } else {
        builder.with_no_client_auth().with_single_cert(chain, key)
    };
    Ok(Some(TlsAcceptor::from(Arc::new(config.context("use the TLS certificate and key")?))))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| format!("read the certificate {}", path.display()))
}
