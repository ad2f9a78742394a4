//! Requests to one repository of one registry, authenticated as it asks.

use super::{
    Clients, Endpoint, Error, Patience, RegistryAuth, RegistryConfig, challenge, pages, patience, text, token,
};
use crate::{Reference, manifest::DOCUMENT_MAX};
use model::Digest;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Mutex;

/// How often a manifest or configuration is asked for while the registry is merely unwell.
const ATTEMPTS: u32 = 3;
/// How often a connection that ends before the request is sent is made anew, in the hope of hearing why.
const ANSWER_TRIES: u32 = 3;
/// What an error answer may have to say.
const ERROR_MAX: u64 = 64 << 10;

/// Every media type of a manifest or index that is understood.
pub(super) const DOCUMENTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// One repository at one endpoint. Clones share the authorization.
#[derive(Clone)]
pub(crate) struct Session {
    client: Client,
    endpoint: Endpoint,
    reference: Reference,
    auth: Option<RegistryAuth>,
    access: Access,
    patience: Patience,
    /// The `Authorization` header that worked last.
    authorization: Arc<Mutex<Option<String>>>,
}

/// What a session is for, and so which scopes it asks token servers for (distribution `docs/spec/auth/scope.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    /// Writing, and mounting blobs from these repositories of the same registry.
    Push {
        from: Vec<String>,
    },
}

impl Access {
    /// The scopes for `path`, of which `asked` is what the registry's challenge names.
    fn scopes(&self, path: &str, asked: Option<&str>) -> String {
        let asked = asked.filter(|s| !s.is_empty());
        match self {
            Self::Pull => asked.map_or_else(|| format!("repository:{path}:pull"), str::to_owned),
            Self::Push { from } => {
                let own = std::iter::once(format!("repository:{path}:pull,push"));
                let mut scopes: Vec<String> =
                    own.chain(from.iter().map(|from| format!("repository:{from}:pull"))).collect();
                scopes.extend(asked.into_iter().flat_map(|s| s.split(' ')).map(str::to_owned));
                scopes.dedup();
                scopes.join(" ")
            }
        }
    }
}

/// A manifest or index as it was served.
pub(crate) struct Served {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub digest: Digest,
}

impl Session {
    /// Credentials go to the registry they are for, never to a mirror.
    pub fn new(
        clients: &Clients,
        config: &RegistryConfig,
        endpoint: Endpoint,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
    ) -> Result<Self, Error> {
        Ok(Self {
            client: clients.get(config, &endpoint)?,
            auth: auth.filter(|_| !endpoint.is_mirror).cloned(),
            endpoint,
            reference: reference.trim(),
            access: Access::Pull,
            patience: config.patience,
            authorization: Arc::default(),
        })
    }

    /// The same repository for writing.
    ///
    /// # Errors
    /// As making an HTTP client gives them.
    pub fn writable(
        self,
        clients: &Clients,
        config: &RegistryConfig,
        from: Vec<String>,
    ) -> Result<Self, Error> {
        let client = clients.get_for_uploads(config, &self.endpoint)?;
        Ok(Self { client, access: Access::Push { from }, authorization: Arc::default(), ..self })
    }

    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn patience(&self) -> Patience {
        self.patience
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn url(&self, rest: &str) -> String {
        self.endpoint.url(&format!("{}/{rest}", self.reference.path()))
    }

    /// Whether anything that speaks the protocol is there: the check that decides between HTTPS and HTTP.
    pub async fn ping(&self) -> Result<(), Error> {
        let url = self.endpoint.url("");
        let response = self.first_answer(&url).await.map_err(|e| text::transport("Get", &url, &e))?;
        match response.status() {
            StatusCode::OK
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS => Ok(()),
            // A repository may be readable where the root of the API is not.
            StatusCode::NOT_FOUND if self.endpoint.is_mirror => Ok(()),
            _ => Err(self.refusal("Get", &url, response, &self.reference).await),
        }
    }

    async fn first_answer(&self, url: &str) -> reqwest::Result<Response> {
        let mut answer = self.client.get(url).send().await;
        for _ in 0..ANSWER_TRIES {
            match &answer {
                Err(error) if text::ended_early(error) => answer = self.client.get(url).send().await,
                _ => break,
            }
        }
        answer
    }

    /// A manifest or index by tag or digest, verified when by digest.
    pub async fn manifest(&self, wanted: &Reference) -> Result<Served, Error> {
        let key =
            wanted.digest().map(Digest::as_str).or(wanted.tag()).unwrap_or(crate::reference::DEFAULT_TAG);
        let url = self.url(&format!("manifests/{key}"));
        let response = self.get_patiently(&url, &[(header::ACCEPT, DOCUMENTS.to_owned())], wanted).await?;
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let media_type = content_type.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = body(response, "Get", &url, "manifest", DOCUMENT_MAX).await?;
        let digest = crate::chain::digest_of(&bytes);
        match wanted.digest() {
            Some(asked) if *asked != digest => {
                Err(Error::Verification { what: "manifest", digest: asked.clone() })
            }
            _ => Ok(Served { bytes, media_type, digest }),
        }
    }

    /// A small blob, verified: an image configuration.
    pub async fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let url = self.url(&format!("blobs/{digest}"));
        let response = self.get_patiently(&url, &[], &self.reference.with_digest(digest.clone())).await?;
        let bytes = body(response, "Get", &url, "image config", DOCUMENT_MAX).await?;
        if crate::chain::digest_of(&bytes) != *digest {
            return Err(Error::Verification { what: "image config", digest: digest.clone() });
        }
        Ok(bytes)
    }

    /// A blob from `offset` on, streamed, unverified. A registry that ignores ranges answers 200 with all of it.
    pub async fn blob(&self, digest: &Digest, offset: u64) -> Result<Response, Error> {
        let url = self.url(&format!("blobs/{digest}"));
        let range = (offset > 0).then(|| (header::RANGE, format!("bytes={offset}-")));
        self.get(&url, range.as_slice(), &self.reference.with_digest(digest.clone())).await
    }

    /// Every tag of the repository, sorted.
    pub async fn tags(&self) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut url = Some(self.url("tags/list"));
        while let Some(here) = url.take() {
            let response = self.get_patiently(&here, &[], &self.reference).await?;
            url = pages::next(&self.endpoint, response.headers());
            let bytes = body(response, "Get", &here, "tag list", DOCUMENT_MAX).await?;
            let page: Tags = serde_json::from_slice(&bytes).map_err(|source| Error::Answer {
                method: "Get",
                url: here,
                source,
            })?;
            tags.extend(page.tags.unwrap_or_default());
        }
        tags.sort();
        Ok(tags)
    }

    /// As [`Session::get`], again after a while when the registry is unwell. What cannot be reached at all is not
    /// asked again: the user is waiting for that message.
    async fn get_patiently(
        &self,
        url: &str,
        headers: &[(header::HeaderName, String)],
        about: &Reference,
    ) -> Result<Response, Error> {
        let mut attempt = 1;
        loop {
            match self.get(url, headers, about).await {
                Err(e) if attempt < ATTEMPTS && e.is_passing() && !matches!(e, Error::Transport { .. }) => {
                    tokio::time::sleep(self.patience.pause(attempt, &e)).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// One GET that must succeed.
    async fn get(
        &self,
        url: &str,
        headers: &[(header::HeaderName, String)],
        about: &Reference,
    ) -> Result<Response, Error> {
        let request = |client: &Client| {
            headers.iter().fold(client.get(url), |request, (name, value)| request.header(name, value))
        };
        let response = self.send("Get", url, request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal("Get", url, response, about).await)
    }

    /// One request, made again with authorization when the registry asks for it. Whatever else it says is returned.
    pub(super) async fn send(
        &self,
        method: &'static str,
        url: &str,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let is_ours = self.is_ours(url);
        let mut authorization = self.authorization().await.filter(|_| is_ours);
        for attempt in 0..2 {
            let mut request = request(&self.client);
            if let Some(authorization) = &authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let response = request.send().await.map_err(|e| text::transport(method, url, &e))?;
            if response.status() != StatusCode::UNAUTHORIZED || attempt == 1 || !is_ours {
                return Ok(response);
            }
            authorization = Some(self.authenticate(method, url, &response, authorization.as_deref()).await?);
        }
        Err(Error::Unauthorized { message: "authentication required".to_owned() })
    }

    /// Whether a URL is the registry's own: only there its authorization goes. Uploads may be sent elsewhere.
    pub(super) fn is_ours(&self, url: &str) -> bool {
        url::Url::parse(url).is_ok_and(|url| url.origin() == self.endpoint.base.origin())
    }

    /// What the last request was authorized by.
    pub(super) async fn authorization(&self) -> Option<String> {
        self.authorization.lock().await.clone()
    }

    /// What to send after a 401. Concurrent requests authenticate once.
    pub(super) async fn authenticate(
        &self,
        method: &'static str,
        url: &str,
        response: &Response,
        used: Option<&str>,
    ) -> Result<String, Error> {
        let mut shared = self.authorization.lock().await;
        if let Some(newer) = shared.as_ref().filter(|now| Some(now.as_str()) != used) {
            return Ok(newer.clone());
        }
        let challenges = challenges(response);
        let scopes = |asked: Option<&str>| self.access.scopes(self.reference.path(), asked);
        let wanted = token::Wanted { asked: (method, url), scopes, auth: self.auth.as_ref(), offline: false };
        let made = token::answer(&self.client, &challenges, &wanted).await?.authorization;
        *shared = Some(made.clone());
        Ok(made)
    }

    /// An unsuccessful answer as an error.
    pub(super) async fn refusal(
        &self,
        method: &'static str,
        url: &str,
        response: Response,
        about: &Reference,
    ) -> Error {
        let status = response.status();
        let retry_after = patience::retry_after(response.headers());
        let bytes = body(response, method, url, "error", ERROR_MAX).await.unwrap_or_default();
        let first = serde_json::from_slice::<Refusals>(&bytes).ok().and_then(|r| r.errors.into_iter().next());
        let (code, message) = first.map(|r| (r.code, r.message)).unwrap_or_default();
        let or = |default: &str| if message.is_empty() { default.to_owned() } else { message.clone() };
        let repository = about.familiar_name();
        let is_push = self.access != Access::Pull;
        match (code.as_str(), status) {
            ("MANIFEST_UNKNOWN", _) => {
                Error::ManifestUnknown { reference: about.familiar(), message: or("manifest unknown") }
            }
            ("NAME_UNKNOWN", _) => {
                Error::NameUnknown { repository, message: or("repository name not known to registry") }
            }
            ("DENIED", _) | (_, StatusCode::FORBIDDEN) if is_push => {
                Error::PushDenied { message: or("requested access to the resource is denied") }
            }
            ("DENIED", _) | (_, StatusCode::FORBIDDEN) => {
                Error::Denied { repository, message: or("requested access to the resource is denied") }
            }
            (_, StatusCode::UNAUTHORIZED) if self.auth.is_none() && !is_push => {
                // A token without the scope: what is private and what is absent look the same.
                Error::Denied { repository, message: "requested access to the resource is denied".to_owned() }
            }
            (_, StatusCode::UNAUTHORIZED) => Error::Unauthorized { message: or("authentication required") },
            ("TOOMANYREQUESTS", _) | (_, StatusCode::TOO_MANY_REQUESTS) => {
                Error::TooManyRequests { message: or("retry later"), retry_after }
            }
            (_, StatusCode::NOT_FOUND) if url.contains("/manifests/") => {
                Error::ManifestUnknown { reference: about.familiar(), message: or("manifest unknown") }
            }
            _ => Error::Status {
                method,
                url: url.to_owned(),
                status: status.to_string(),
                detail: if message.is_empty() { String::new() } else { format!(": {message}") },
                retry_after,
            },
        }
    }
}

/// How the registry that answered 401 wants to be asked.
pub(super) fn challenges(response: &Response) -> Vec<challenge::Challenge> {
    let headers = response.headers().get_all(header::WWW_AUTHENTICATE);
    headers.iter().filter_map(|v| v.to_str().ok()).flat_map(challenge::parse).collect()
}

#[derive(Deserialize)]
struct Refusals {
    #[serde(default)]
    errors: Vec<RefusalEntry>,
}

#[derive(Deserialize)]
struct RefusalEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The whole of a bounded body.
pub(crate) async fn body(
    mut response: Response,
    method: &'static str,
    url: &str,
    what: &'static str,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| text::transport(method, url, &e))? {
        if bytes.len() as u64 + chunk.len() as u64 > limit {
            return Err(Error::TooLarge { method, url: url.to_owned(), what, limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
