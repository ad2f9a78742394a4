//! HTTP clients, one for each registry host, with its certificates.

use super::{Endpoint, Error, RegistryConfig, endpoint::split_port};
use reqwest::{Certificate, Client, Identity};
use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

/// As long as Go's default transport tries to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A registry that sends nothing for so long has stalled; the transfer is resumed.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Where distributions keep the certificates they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Clients made so far.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<Endpoint, Client>>);

impl Clients {
    /// The client for an endpoint.
    pub fn get(&self, config: &RegistryConfig, endpoint: &Endpoint) -> Result<Client, Error> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(endpoint) {
            return Ok(client.clone());
        }
        let client = build(config, endpoint)?;
        clients.insert(endpoint.clone(), client.clone());
        Ok(client)
    }
}

fn build(config: &RegistryConfig, endpoint: &Endpoint) -> Result<Client, Error> {
    install_crypto();
    let host = endpoint.host();
    let mut builder = Client::builder()
        .user_agent(concat!("lichen/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        // A layer's digest is that of the bytes as they are; nothing may be undone on the way.
        .hickory_dns(true)
        .pool_idle_timeout(Duration::from_secs(15));
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
        Certificate::from_pem_bundle(&pem).unwrap_or_else(|e| {
            tracing::warn!(path = %path.display(), error = %e, "certificates of the system cannot be read");
            Vec::new()
        })
    })
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
                for certificate in
                    Certificate::from_pem_bundle(&read()?).map_err(|e| fail(super::text::chain(&e)))?
                {
                    builder = builder.add_root_certificate(certificate);
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
