//! HTTP clients, one for each registry host, with its certificates.

use super::{Endpoint, Error, RegistryConfig, endpoint::split_port};
use reqwest::{Certificate, Client, Identity};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// As long as Go's default transport tries to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where distributions keep the certificates they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A client reads resolv.conf and the system's certificates when it is made; a laptop that moves, and an administrator
/// who adds a certificate, need no restart of the engine.
const CLIENT_AGE: Duration = Duration::from_secs(60);

/// Clients made lately.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<Key, (Instant, Client)>>);

/// A client is good for one endpoint, and until somebody changes the certificates it was made with.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    endpoint: Endpoint,
    purpose: Use,
    /// When each directory of certificates for the endpoint was changed last.
    certs: Vec<Option<SystemTime>>,
}

/// reqwest's time limit on reading also runs while a request's body is being sent, so uploads go without and are watched
/// by whoever sends them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Use {
    Downloads,
    Uploads,
}

impl Clients {
    /// The client for an endpoint.
    pub fn get(&self, config: &RegistryConfig, endpoint: &Endpoint) -> Result<Client, Error> {
        self.of(config, endpoint, Use::Downloads)
    }

    /// The client for sending much, without a limit on how long that takes.
    pub fn get_for_uploads(&self, config: &RegistryConfig, endpoint: &Endpoint) -> Result<Client, Error> {
        self.of(config, endpoint, Use::Uploads)
    }

    fn of(&self, config: &RegistryConfig, endpoint: &Endpoint, purpose: Use) -> Result<Client, Error> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, (made, _)| made.elapsed() < CLIENT_AGE);
        let directories = config.certs.iter().map(|directory| directory.join(endpoint.host()));
        let changed = |path: PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
        let certs = directories.map(changed).collect();
        let key = Key { endpoint: endpoint.clone(), purpose, certs };
        if let Some((_, client)) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = build(config, endpoint, purpose)?;
        clients.insert(key, (Instant::now(), client.clone()));
        Ok(client)
    }
}

fn build(config: &RegistryConfig, endpoint: &Endpoint, purpose: Use) -> Result<Client, Error> {
    install_crypto();
    let host = endpoint.host();
    let mut builder = Client::builder()
        .user_agent(concat!("lichen/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // A layer's digest is that of the bytes as they are; nothing may be undone on the way.
        .hickory_dns(true)
        .pool_idle_timeout(Duration::from_secs(15));
    if purpose == Use::Downloads {
        builder = builder.read_timeout(config.patience.silence);
    }
    let is_loopback = split_port(&host).parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
    if is_loopback || split_port(&host) == "localhost" {
        // As Go's ProxyFromEnvironment: a proxy is elsewhere, and cannot reach our loopback.
        builder = builder.no_proxy();
    }
    if endpoint.base.scheme() == "https" {
        for certificate in system_roots() {
            builder = builder.add_root_certificate(certificate.clone());
        }
        for directory in &config.certs {
            builder = add_certs(builder, &directory.join(&host))?;
        }
        builder = builder.danger_accept_invalid_certs(endpoint.insecure);
    }
    builder.build().map_err(|e| Error::Client { host, reason: super::text::chain(&e) })
}

/// rustls wants one provider of algorithms for the process; whoever comes first chooses, and all of us choose ring.
pub(crate) fn install_crypto() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// The machine's own roots, beside those compiled in. `SSL_CERT_FILE` replaces the list, as with OpenSSL and Go.
fn system_roots() -> &'static [Certificate] {
    static ROOTS: OnceLock<Vec<Certificate>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let chosen = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
        let candidates = chosen.into_iter().chain(SYSTEM_BUNDLES.iter().map(Into::into));
        let Some((path, pem)) = candidates.filter_map(|p| fs::read(&p).ok().map(|pem| (p, pem))).next()
        else {
            return Vec::new();
        };
        let (good, bad): (Vec<_>, Vec<_>) = certificates(&pem).into_iter().partition(Result::is_ok);
        for error in bad.into_iter().filter_map(Result::err) {
            // One that rustls cannot use is no reason to do without the others.
            tracing::debug!(path = %path.display(), error, "a certificate of the system was passed over");
        }
        good.into_iter().filter_map(Result::ok).collect()
    })
}

/// The certificates of a PEM file, each usable as a root or with the reason why not.
fn certificates(pem: &[u8]) -> Vec<Result<Certificate, String>> {
    let check = |der: Result<CertificateDer<'static>, _>| {
        let der = der.map_err(|e: rustls::pki_types::pem::Error| e.to_string())?;
        RootCertStore::empty().add(der.clone()).map_err(|e| e.to_string())?;
        Certificate::from_der(&der).map_err(|e| super::text::chain(&e))
    };
    CertificateDer::pem_slice_iter(pem).map(check).collect()
}

/// Docker's `certs.d/HOST`: `*.crt` are roots, `*.cert` with the `*.key` beside it is a client certificate.
fn add_certs(mut builder: reqwest::ClientBuilder, directory: &Path) -> Result<reqwest::ClientBuilder, Error> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(builder) };
    let mut paths: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in &paths {
        let fail = |reason: String| Error::Certificate { path: path.clone(), reason };
        let read = || fs::read(path).map_err(|e| fail(archive::error::errno_text(&e)));
        match path.extension().and_then(|e| e.to_str()) {
            Some("crt") => {
                for certificate in certificates(&read()?) {
                    builder = builder.add_root_certificate(certificate.map_err(fail)?);
                }
            }
            Some("cert") => {
                let key = path.with_extension("key");
                if !paths.contains(&key) {
                    // Docker's words (moby `registry/registry.go`).
                    let name = |p: &Path| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    return Err(fail(format!(
                        "missing key {} for client certificate {}. CA certificates must use the extension .crt",
                        name(&key),
                        name(path)
                    )));
                }
                let mut pem = read()?;
                pem.push(b'\n');
                pem.extend(fs::read(&key).map_err(|e| fail(archive::error::errno_text(&e)))?);
                builder =
                    builder.identity(Identity::from_pem(&pem).map_err(|e| fail(super::text::chain(&e)))?);
            }
            _ => {}
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Reference,
        lab::block_on,
        pull::lab::{Registry, Setup},
        registry::Session,
    };
    use std::path::PathBuf;

    fn testdata(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
    }

    /// What a session with this registry, not taken for insecure, says to these `certs.d` directories.
    fn ping(registry: &Registry, certs: &Path) -> Result<(), String> {
        let config = RegistryConfig { certs: vec![certs.to_owned()], ..RegistryConfig::default() };
        let base = format!("https://{}/", registry.host).parse().unwrap();
        let endpoint = Endpoint { base, is_mirror: false, insecure: false };
        let reference = Reference::parse(&format!("{}/app", registry.host)).unwrap();
        block_on(async {
            let session = Session::new(&Clients::default(), &config, endpoint, &reference, None)?;
            session.ping().await
        })
        .map_err(|e: Error| e.to_string())
    }

    #[test]
    fn a_registrys_authority_is_read_from_certs_d() {
        let registry = Registry::with(&Setup {
            tls: Some((testdata("server.crt"), testdata("server.key"))),
            ..Setup::default()
        });
        let certs = tempfile::tempdir().unwrap();
        let unknown = ping(&registry, certs.path()).unwrap_err();
        let text = format!(
            "Get \"https://{}/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
            registry.host
        );
        assert_eq!(unknown, text);
        let host = certs.path().join(&registry.host);
        fs::create_dir(&host).unwrap();
        fs::copy(testdata("ca.crt"), host.join("ca.crt")).unwrap();
        assert_eq!(ping(&registry, certs.path()), Ok(()));
        fs::copy(testdata("server.crt"), host.join("client.cert")).unwrap();
        let keyless = ping(&registry, certs.path()).unwrap_err();
        assert!(
            keyless.ends_with(
                "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt"
            ),
            "{keyless}"
        );
        fs::copy(testdata("server.key"), host.join("client.key")).unwrap();
        assert_eq!(ping(&registry, certs.path()), Ok(()));
        fs::write(host.join("ca.crt"), "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
            .unwrap();
        let damaged = ping(&registry, certs.path()).unwrap_err();
        assert!(damaged.contains("ca.crt: "), "{damaged}");
    }

    #[test]
    fn plain_http_where_https_is_expected_is_said() {
        let registry = Registry::start();
        let none = tempfile::tempdir().unwrap();
        let text =
            format!("Get \"https://{}/v2/\": http: server gave HTTP response to HTTPS client", registry.host);
        assert_eq!(ping(&registry, none.path()), Err(text));
    }
}
