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
mod pages;
mod patience;
mod search;
mod session;
mod text;
mod token;
mod upload;

pub use auth::{InvalidAuth, RegistryAuth};
pub use distribution::Distribution;
pub use error::Error;
pub use login::Login;
pub use patience::Patience;
pub use search::SearchResult;

pub(crate) use client::Clients;
#[cfg(test)]
pub(crate) use client::install_crypto;
pub(crate) use endpoint::Endpoint;
pub(crate) use patience::retrying;
pub(crate) use session::{Served, Session};
pub(crate) use text::transport;
pub(crate) use upload::{Mount, Upload};

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
    /// `max-concurrent-uploads`; zero means 5.
    pub max_uploads: usize,
    /// `lichen-additional-image-stores`: directories that are looked into before a registry is asked.
    pub stores: Vec<PathBuf>,
    /// No key of `daemon.json`.
    pub patience: Patience,
}

/// As many layers at once as Docker fetches, and sends.
const MAX_DOWNLOADS: usize = 3;
const MAX_UPLOADS: usize = 5;

/// The registries one engine talks to.
pub(crate) struct Registries {
    pub config: RegistryConfig,
    pub clients: Clients,
    /// One permit a layer in transfer.
    pub downloads: Arc<Semaphore>,
    pub uploads: Arc<Semaphore>,
}

impl Registries {
    pub fn new(config: RegistryConfig) -> Self {
        let permits =
            |wanted: usize, default| Arc::new(Semaphore::new(if wanted == 0 { default } else { wanted }));
        let downloads = permits(config.max_downloads, MAX_DOWNLOADS);
        let uploads = permits(config.max_uploads, MAX_UPLOADS);
        Self { config, clients: Clients::default(), downloads, uploads }
    }

    /// The endpoints of the reference's domain, to be tried in order.
    pub fn tries<'a>(
        &'a self,
        reference: &Reference,
        auth: Option<&'a RegistryAuth>,
    ) -> Result<Tries<'a>, Error> {
        let endpoints = self.config.endpoints(reference.domain())?.into_iter();
        Ok(Tries {
            registries: self,
            reference: reference.clone(),
            auth,
            endpoints,
            speaks_tls: false,
            failure: None,
        })
    }
}

/// One endpoint after the other, until one can do what is wanted.
///
/// A mirror may lack anything; the registry itself is then asked. When all fail, an answer about the repository
/// outweighs the silence of another endpoint, and else the last failure is given, as Docker does.
pub(crate) struct Tries<'a> {
    registries: &'a Registries,
    reference: Reference,
    auth: Option<&'a RegistryAuth>,
    endpoints: std::vec::IntoIter<Endpoint>,
    /// Plain HTTP is not for a registry that answers on HTTPS.
    speaks_tls: bool,
    failure: Option<Error>,
}

impl Tries<'_> {
    /// Only the registry itself: mirrors take no pushes and no credentials.
    pub fn without_mirrors(self) -> Self {
        let endpoints: Vec<_> = self.endpoints.filter(|endpoint| !endpoint.is_mirror).collect();
        Self { endpoints: endpoints.into_iter(), ..self }
    }

    /// A session with the next endpoint that answers; none when there is no other.
    pub async fn next(&mut self) -> Result<Option<Session>> {
        while let Some(endpoint) = self.endpoints.next() {
            if self.speaks_tls && endpoint.base.scheme() == "http" {
                continue;
            }
            let Registries { clients, config, .. } = self.registries;
            let session = Session::new(clients, config, endpoint.clone(), &self.reference, self.auth)?;
            match session.ping().await {
                Ok(()) => {
                    self.speaks_tls |= endpoint.base.scheme() == "https" && !endpoint.is_mirror;
                    return Ok(Some(session));
                }
                Err(e) => self.failed(e.into())?,
            }
        }
        Ok(None)
    }

    /// Notes why an endpoint could not do it.
    ///
    /// # Errors
    /// The failure itself, when it is none of the registry's: another endpoint would not help.
    pub fn failed(&mut self, error: crate::Error) -> Result<()> {
        let crate::Error::Registry(error) = error else { return Err(error) };
        tracing::debug!(%error, "registry endpoint failed");
        if error.is_definite() || !self.failure.as_ref().is_some_and(Error::is_definite) {
            self.failure = Some(error);
        }
        Ok(())
    }

    /// Why none of them could.
    pub fn into_error(self) -> crate::Error {
        let host = self.reference.domain().to_owned();
        self.failure.unwrap_or(Error::Client { host, reason: "it has no endpoint".to_owned() }).into()
    }
}
