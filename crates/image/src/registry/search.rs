//! `docker search`: the index API of Docker Hub, which few other registries have.

use super::{Endpoint, Error, RegistryAuth, session, token};
use crate::{ImageStore, Result, reference::DEFAULT_DOMAIN};
use serde::Deserialize;

/// Docker Hub's index; its registry has no search.
const INDEX: &str = "https://index.docker.io/";
const LIMIT: u32 = 25;
const ANSWER_MAX: u64 = 4 << 20;

/// One line of `docker search`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    pub name: String,
    pub description: String,
    #[serde(rename = "star_count")]
    pub stars: i64,
    #[serde(rename = "is_official")]
    pub official: bool,
    #[serde(rename = "is_automated")]
    pub automated: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<SearchResult>,
}

impl ImageStore {
    /// Searches Docker Hub, or the host that the term begins with (`localhost:5000/busy`). `limit` zero means 25.
    ///
    /// # Errors
    /// [`Error::NoSearch`] where there is none.
    pub async fn search(
        &self,
        term: &str,
        limit: u32,
        auth: Option<&RegistryAuth>,
    ) -> Result<Vec<SearchResult>> {
        let (host, term) = match term.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => (DEFAULT_DOMAIN, term),
        };
        let registries = self.inner.registries();
        let mut endpoints = registries.config.endpoints(host)?;
        endpoints.retain(|e| !e.is_mirror);
        if let (DEFAULT_DOMAIN, Some(hub), Ok(base)) = (host, endpoints.first_mut(), INDEX.parse()) {
            hub.base = base;
        }
        let mut failure = Error::NoSearch { host: host.to_owned(), reason: "it has no endpoint".to_owned() };
        for endpoint in endpoints {
            let client = registries.clients.get(&registries.config, &endpoint)?;
            match ask(&client, &endpoint, term, if limit == 0 { LIMIT } else { limit }, auth).await {
                Ok(results) => return Ok(results),
                Err(e) => failure = e,
            }
        }
        Err(failure.into())
    }
}

async fn ask(
    client: &reqwest::Client,
    endpoint: &Endpoint,
    term: &str,
    limit: u32,
    auth: Option<&RegistryAuth>,
) -> Result<Vec<SearchResult>, Error> {
    let url = format!("{}v1/search", endpoint.base);
    let mut request = client.get(&url).query(&[("q", term)]).query(&[("n", limit)]);
    if let Some((user, password)) = auth.and_then(RegistryAuth::basic) {
        request = request.header(reqwest::header::AUTHORIZATION, token::basic(&user, &password));
    }
    let response = request.send().await.map_err(|e| super::transport("Get", &url, &e))?;
    let status = response.status();
    if !status.is_success() {
        let reason = format!("it answers {status} at {url}; most registries have no search");
        return Err(Error::NoSearch { host: endpoint.host(), reason });
    }
    let bytes = session::body(response, "Get", &url, "search result", ANSWER_MAX).await?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|source| Error::Answer { method: "Get", url, source })?;
    Ok(answer.results)
}
