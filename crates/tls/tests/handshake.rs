//! Who is believed, and who is let in, between a client's configuration and a server on both ends of no socket at all.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tls::{Own, Trust};

/// An authority's files: itself, and a client's certificate and key.
struct Authority {
    dir: tempfile::TempDir,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// Its server lets only those in whom it vouches for.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let leaf = |names: &[&str], usage| {
            let names = names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
            let mut params = CertificateParams::new(names).unwrap();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (certificate, key) = leaf(&[], ExtendedKeyUsagePurpose::ClientAuth);
        for (name, text) in [("ca", issuer.pem()), ("cert", certificate.pem()), ("key", key.serialize_pem())]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let (certificate, key) = leaf(&["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Self { dir, server: Arc::new(server) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// What became of a handshake with `server`.
fn shake(server: &Authority, trust: Trust<'_>, shown: Option<&Authority>) -> Result<(), String> {
    let files = shown.map(|shown| (shown.file("cert"), shown.file("key")));
    let own = files.as_ref().map(|(certificate, key)| Own { certificate, key });
    let config = tls::client(trust, own).map_err(|e| e.to_string())?;
    let name = tls::server_name("127.0.0.1").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(server.server.clone()).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().map_err(|e| format!("server: {e}"))?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|e| format!("client: {e}"))?;
        wire.clear();
    }
    Ok(())
}

#[test]
fn both_sides_know_each_other_by_their_authority() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (ca, other) = (ours.file("ca"), theirs.file("ca"));
    assert_eq!(shake(&ours, Trust::Authorities(&ca), Some(&ours)), Ok(()));
    assert_eq!(shake(&ours, Trust::Anybody, Some(&ours)), Ok(()));
    let begins = |outcome: Result<(), String>, with: &str| {
        let error = outcome.unwrap_err();
        assert!(error.starts_with(with), "{error}");
    };
    begins(shake(&ours, Trust::Authorities(&other), Some(&ours)), "client: invalid peer certificate");
    begins(shake(&ours, Trust::Authorities(&ca), Some(&theirs)), "server: invalid peer certificate");
    begins(shake(&ours, Trust::Anybody, None), "server: peer sent no certificates");
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let authority = Authority::new();
    let (ca, key) = (authority.file("ca"), authority.file("key"));
    let error = |trust, own| tls::client(trust, own).unwrap_err().to_string();
    let path = |file: &Path| file.display().to_string();
    assert_eq!(error(Trust::Authorities(&key), None), format!("{}: no certificate in it", path(&key)));
    let missing = authority.file("nothing");
    assert!(error(Trust::Authorities(&missing), None).starts_with(&path(&missing)));
    let swapped = Own { certificate: &ca, key: &ca };
    assert!(error(Trust::Authorities(&ca), Some(swapped)).starts_with(&path(&ca)));
}
