//! Where a domain's registry is: mirrors, HTTPS, and plain HTTP for those that are allowed to.

use super::{Error, RegistryConfig};
use crate::reference::DEFAULT_DOMAIN;
use std::net::IpAddr;
use url::Url;

/// Docker Hub's registry; `docker.io` itself serves web pages.
const HUB: &str = "registry-1.docker.io";

/// One base URL to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// Ends with a slash; `/v2/…` is joined to it.
    pub base: Url,
    pub is_mirror: bool,
    /// Certificates are not verified.
    pub insecure: bool,
}

impl Endpoint {
    /// Host and port as `certs.d` names them.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}v2/{path}", self.base)
    }
}

impl RegistryConfig {
    /// What to try for a domain, in order.
    pub(crate) fn endpoints(&self, domain: &str) -> Result<Vec<Endpoint>, Error> {
        let mut endpoints = Vec::new();
        if domain == DEFAULT_DOMAIN {
            for mirror in &self.mirrors {
                let base = parse_mirror(mirror)?;
                let insecure = self
                    .is_insecure(&Endpoint { base: base.clone(), is_mirror: true, insecure: false }.host());
                endpoints.push(Endpoint { base, is_mirror: true, insecure });
            }
        }
        let host = if domain == DEFAULT_DOMAIN { HUB } else { domain };
        let insecure = self.is_insecure(host);
        let schemes: &[&str] = if insecure { &["https", "http"] } else { &["https"] };
        for scheme in schemes {
            let text = format!("{scheme}://{host}/");
            let base = Url::parse(&text)
                .map_err(|e| Error::Client { host: host.to_owned(), reason: e.to_string() })?;
            endpoints.push(Endpoint { base, is_mirror: false, insecure });
        }
        Ok(endpoints)
    }

    /// Whether plain HTTP and unverified certificates are acceptable: loopback, and what `insecure-registries` lists.
    pub fn is_insecure(&self, host_port: &str) -> bool {
        let host = split_port(host_port);
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
            return true;
        }
        self.insecure.iter().any(|entry| match entry.split_once('/') {
            Some((network, bits)) => address.is_some_and(|a| in_network(a, network, bits)),
            None => entry == host_port || entry == host,
        })
    }
}

/// The host of `host[:port]` or `[v6][:port]`.
pub(crate) fn split_port(host_port: &str) -> &str {
    match host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => host_port.rsplit_once(':').map_or(host_port, |(host, _)| host),
    }
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        _ => false,
    }
}

/// Docker's rules for `registry-mirrors` (moby `registry/config.go`).
fn parse_mirror(text: &str) -> Result<Url, Error> {
    let invalid = |reason: &str| Error::Mirror { url: text.to_owned(), reason: reason.to_owned() };
    let mut url = Url::parse(text).map_err(|e| invalid(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(&format!("unsupported scheme {:?}", url.scheme())));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("query and fragment must be absent"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("username/password not allowed in URI"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(config: &RegistryConfig, domain: &str) -> Vec<String> {
        config.endpoints(domain).unwrap().iter().map(|e| e.url("")).collect()
    }

    #[test]
    fn mirrors_come_first_and_only_for_the_hub() {
        let config =
            RegistryConfig { mirrors: vec!["http://127.0.0.1:5000".into()], ..RegistryConfig::default() };
        assert_eq!(
            urls(&config, "docker.io"),
            ["http://127.0.0.1:5000/v2/", "https://registry-1.docker.io/v2/"]
        );
        assert_eq!(urls(&config, "quay.io"), ["https://quay.io/v2/"]);
        assert_eq!(
            urls(&config, "localhost:5000"),
            ["https://localhost:5000/v2/", "http://localhost:5000/v2/"]
        );
        assert_eq!(config.endpoints("docker.io").unwrap()[0].host(), "127.0.0.1:5000");
    }

    #[test]
    fn insecure_is_what_is_listed() {
        let insecure =
            ["10.0.0.0/8", "fd00::/8", "registry.lan", "other.lan:5000"].map(str::to_owned).to_vec();
        let config = RegistryConfig { insecure, ..RegistryConfig::default() };
        for yes in [
            "10.1.2.3",
            "10.1.2.3:5000",
            "[fd00::1]:5000",
            "registry.lan:1",
            "other.lan:5000",
            "127.9.9.9",
            "[::1]:5",
        ] {
            assert!(config.is_insecure(yes), "{yes}");
        }
        for no in ["11.0.0.1", "other.lan", "other.lan:5001", "example.com", "[fe00::1]:5000"] {
            assert!(!config.is_insecure(no), "{no}");
        }
    }

    #[test]
    fn a_bad_mirror_is_named() {
        for bad in ["ftp://x/", "nonsense", "http://u:p@x/", "http://x/?q"] {
            let config = RegistryConfig { mirrors: vec![bad.into()], ..RegistryConfig::default() };
            let error = config.endpoints("docker.io").unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid mirror {bad:?}: ")), "{error}");
        }
    }
}
