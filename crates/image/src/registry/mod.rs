//! The registry transport (OCI distribution-spec, Docker Registry HTTP API V2).
//!
//! [`endpoint`] says where a domain's registry may be, [`client`] makes the HTTP client with its certificates,
//! [`session`] asks for things of one repository there, and answers its [`challenge`]s with [`token`]s.

mod auth;
mod challenge;
mod client;
mod distribution;
mod endpoint;
mod error;
mod login;
mod search;
mod session;
mod text;
mod token;

pub use auth::{InvalidAuth, RegistryAuth};
pub use distribution::Distribution;
pub use error::Error;
pub use login::Login;
pub use search::SearchResult;

pub(crate) use client::Clients;
pub(crate) use endpoint::Endpoint;
pub(crate) use session::{Served, Session};
pub(crate) use text::transport;

use crate::{Reference, Result};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::Semaphore;

/// How registries are reached: the keys of `daemon.json`.
#[derive(Debug, Clone, Default)]
pub struct RegistryConfig {
    /// `registry-mirrors`: URLs tried before Docker Hub.
    pub mirrors: Vec<String>,
    /// `insecure-registries`: `host[:port]` or CIDR; loopback is always insecure.
    pub insecure: Vec<String>,
    /// Directories with `HOST[:PORT]/{*.crt,*.cert,*.key}`: `~/.config/docker/certs.d`, `/etc/docker/certs.d`.
    pub certs: Vec<PathBuf>,
    /// `max-concurrent-downloads`; zero means 3.
    pub max_downloads: usize,
}

/// As many layers at once as Docker fetches.
const MAX_DOWNLOADS: usize = 3;

/// The registries one engine talks to.
pub(crate) struct Registries {
    pub config: RegistryConfig,
    pub clients: Clients,
    /// One permit a layer in transfer.
    pub downloads: Arc<Semaphore>,
}

impl Registries {
    pub fn new(config: RegistryConfig) -> Self {
        let permits = if config.max_downloads == 0 { MAX_DOWNLOADS } else { config.max_downloads };
        Self { config, clients: Clients::default(), downloads: Arc::new(Semaphore::new(permits)) }
    }

    /// Runs `work` at the first endpoint of the reference's domain that can do it.
    ///
    /// A mirror may lack anything; the registry itself is then asked. When all fail, an answer about the repository
    /// outweighs the silence of another endpoint, and else the last failure is given, as Docker does.
    pub async fn at_endpoints<T>(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
        work: impl AsyncFn(Session) -> Result<T>,
    ) -> Result<T> {
        let mut failure: Option<crate::Error> = None;
        let mut speaks_tls = false;
        for endpoint in self.config.endpoints(reference.domain())? {
            if speaks_tls && endpoint.base.scheme() == "http" {
                continue;
            }
            let session = Session::new(&self.clients, &self.config, endpoint.clone(), reference, auth)?;
            let tried = match session.ping().await {
                Ok(()) => {
                    speaks_tls |= endpoint.base.scheme() == "https" && !endpoint.is_mirror;
                    work(session).await
                }
                Err(e) => Err(e.into()),
            };
            let error = match tried {
                Err(crate::Error::Registry(e)) => e,
                // Done, or failed in a way that another endpoint cannot help.
                other => return other,
            };
            tracing::debug!(endpoint = %endpoint.base, %error, "registry endpoint failed");
            let keep = matches!(&failure, Some(crate::Error::Registry(first)) if first.is_definite() && !error.is_definite());
            if !keep {
                failure = Some(error.into());
            }
        }
        Err(failure.unwrap_or_else(|| {
            let host = reference.domain().to_owned();
            Error::Client { host, reason: "it has no endpoint".to_owned() }.into()
        }))
    }
}
