//! Sending blobs and manifests (OCI distribution-spec, "Push").
//!
//! ```text
//!   HEAD blobs/D ── 200 ─────────────────────────────► it is there
//!   POST blobs/uploads/?mount=D&from=REPO ── 201 ────► it is there now
//!   POST blobs/uploads/ ── 202 ──► PATCH ──► PUT ?digest=D ── 201 ──► it is there now
//!                                    │  ▲
//!                      broken off    ▼  │ from there on
//!                            GET the upload: `Range: 0-N`
//! ```
//! One PATCH carries the whole blob, as Docker's client does: registries differ in what sizes of chunks they accept, and
//! all of them accept that.

use super::{Endpoint, Error, Session, text};
use model::Digest;
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, header};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use url::Url;

/// An upload in progress, at the URL that the registry gave last.
#[derive(Debug, Clone)]
pub(crate) struct Upload(Url);

/// What asking for a blob to be mounted led to.
pub(crate) enum Mount {
    Mounted,
    /// The registry wants it sent after all.
    Upload(Upload),
}

impl Session {
    /// Whether the repository has the blob.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let url = self.url(&format!("blobs/{digest}"));
        let response = self.send_patiently("Head", &url, |client| client.head(&url)).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refusal("Head", &url, response, self.reference()).await),
        }
    }

    /// Whether the repository has a manifest or index.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        let url = self.url(&format!("manifests/{digest}"));
        let request = |client: &Client| client.head(&url).header(header::ACCEPT, super::session::DOCUMENTS);
        let response = self.send_patiently("Head", &url, request).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refusal("Head", &url, response, self.reference()).await),
        }
    }

    /// Begins an upload, or has the registry take the blob from another of its repositories.
    pub async fn mount(&self, digest: &Digest, from: &str) -> Result<Mount, Error> {
        let mut url = self.parse("Post", &self.url("blobs/uploads/"))?;
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from);
        let response = self.send_patiently("Post", url.as_str(), |client| client.post(url.clone())).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Mounted),
            StatusCode::ACCEPTED => Ok(Mount::Upload(self.next_location("Post", &url, &response)?)),
            _ => Err(self.refusal("Post", url.as_str(), response, self.reference()).await),
        }
    }

    /// Begins an upload.
    pub async fn begin_upload(&self) -> Result<Upload, Error> {
        let url = self.parse("Post", &self.url("blobs/uploads/"))?;
        let response = self.send_patiently("Post", url.as_str(), |client| client.post(url.clone())).await?;
        match response.status() {
            StatusCode::ACCEPTED => self.next_location("Post", &url, &response),
            _ => Err(self.refusal("Post", url.as_str(), response, self.reference()).await),
        }
    }

    /// How many bytes of an upload the registry has; none when it knows the upload no more.
    pub async fn upload_offset(&self, upload: &mut Upload) -> Result<Option<u64>, Error> {
        let url = upload.0.clone();
        let response = self.send_patiently("Get", url.as_str(), |client| client.get(url.clone())).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(self.refusal("Get", url.as_str(), response, self.reference()).await);
        }
        let range = response.headers().get(header::RANGE).and_then(|v| v.to_str().ok());
        let offset = range.and_then(next_byte);
        if response.headers().contains_key(header::LOCATION) {
            *upload = self.next_location("Get", &url, &response)?;
        }
        Ok(offset)
    }

    /// Sends what follows `offset`. `taken` grows with what the body has given away, which tells a slow registry from
    /// one that stalls.
    pub async fn append(
        &self,
        upload: &mut Upload,
        offset: u64,
        body: Body,
        taken: &AtomicU64,
    ) -> Result<(), Error> {
        let (url, patience) = (upload.0.clone(), self.patience().while_sending());
        let mut request = self.client().patch(url.clone()).body(body);
        request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        if let Some(authorization) = self.authorization().await.filter(|_| self.is_ours(url.as_str())) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if offset > 0 {
            // The end is not known yet; registries look at where it starts.
            request = request.header(header::CONTENT_RANGE, format!("{offset}-"));
        }
        let response = tokio::select! {
            response = request.send() => response.map_err(|e| text::transport("Patch", url.as_str(), &e))?,
            () = stalled(taken, patience) => return Err(no_progress("Patch", url.as_str(), patience)),
        };
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => {
                *upload = self.next_location("Patch", &url, &response)?;
                Ok(())
            }
            // Tokens expire while much is sent; with a new one the upload goes on where it stopped.
            StatusCode::UNAUTHORIZED => {
                let used = self.authorization().await;
                self.authenticate("Patch", url.as_str(), &response, used.as_deref()).await?;
                let reason = "the authorization expired".to_owned();
                Err(Error::Transport { method: "Patch", url: url.into(), reason })
            }
            _ => Err(self.refusal("Patch", url.as_str(), response, self.reference()).await),
        }
    }

    /// Says that the upload is whole.
    pub async fn finish_upload(&self, upload: Upload, digest: &Digest) -> Result<(), Error> {
        self.put_blob(upload, digest, None).await
    }

    /// Sends a small blob in one request.
    pub async fn put_small_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        let upload = self.begin_upload().await?;
        self.put_blob(upload, digest, Some(bytes)).await
    }

    async fn put_blob(&self, upload: Upload, digest: &Digest, bytes: Option<&[u8]>) -> Result<(), Error> {
        let mut url = upload.0;
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let request = |client: &Client| {
            let request = client.put(url.clone()).header(header::CONTENT_TYPE, "application/octet-stream");
            request.body(bytes.unwrap_or_default().to_vec())
        };
        let response = self.send_patiently("Put", url.as_str(), request).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(self.refusal("Put", url.as_str(), response, self.reference()).await)
    }

    /// Gives up an upload. That the registry does not care, or is gone, is no matter: it forgets them by itself.
    pub async fn cancel_upload(&self, upload: Upload) {
        let url = upload.0;
        let asked = self.send_patiently("Delete", url.as_str(), |client| client.delete(url.clone())).await;
        if let Err(error) = asked {
            tracing::debug!(%error, "an upload that was given up stays with the registry");
        }
    }

    /// Puts a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// [`Error::Verification`] when the registry has it under another digest.
    pub async fn put_manifest(
        &self,
        key: &str,
        media_type: &str,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<(), Error> {
        let url = self.url(&format!("manifests/{key}"));
        let request =
            |client: &Client| client.put(&url).header(header::CONTENT_TYPE, media_type).body(bytes.to_vec());
        let response = self.send_patiently("Put", &url, request).await?;
        if !response.status().is_success() {
            return Err(self.refusal("Put", &url, response, self.reference()).await);
        }
        let theirs = response.headers().get("docker-content-digest").and_then(|v| v.to_str().ok());
        match theirs {
            Some(other) if other != digest.as_str() => {
                Err(Error::Verification { what: "manifest", digest: digest.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The answer to a request without a long body.
    async fn send_patiently(
        &self,
        method: &'static str,
        url: &str,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let patience = self.patience().while_sending();
        match tokio::time::timeout(patience, self.send(method, url, request)).await {
            Ok(answered) => answered,
            Err(_) => Err(no_progress(method, url, patience)),
        }
    }

    fn parse(&self, method: &'static str, url: &str) -> Result<Url, Error> {
        Url::parse(url).map_err(|e| Error::Upload { method, url: url.to_owned(), reason: e.to_string() })
    }

    /// Where to go on.
    fn next_location(&self, method: &'static str, url: &Url, response: &Response) -> Result<Upload, Error> {
        let fail = |reason: &str| Error::Upload { method, url: url.to_string(), reason: reason.to_owned() };
        let location = response.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
        let location = location.ok_or_else(|| fail("the registry does not say where to send the blob"))?;
        next_url(self.endpoint(), url, location).map(Upload).ok_or_else(|| {
            fail(&format!(
                "the registry wants the blob sent to {location:?}, which is no place to send it to"
            ))
        })
    }
}

/// Registries behind a proxy that speaks TLS for them give plain URLs of themselves at times: what began encrypted goes
/// on encrypted.
fn next_url(endpoint: &Endpoint, here: &Url, location: &str) -> Option<Url> {
    let mut next = here.join(location).ok()?;
    if endpoint.base.scheme() == "https" && next.scheme() == "http" {
        if next.host() != endpoint.base.host() {
            return None;
        }
        next.set_scheme("https").ok()?;
        next.set_port(endpoint.base.port()).ok()?;
    }
    matches!(next.scheme(), "http" | "https").then_some(next)
}

/// `0-N`: N + 1 bytes are there. `0-0` is what registries say of none and of one: none is the safe reading.
fn next_byte(range: &str) -> Option<u64> {
    let (start, end) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    (start.trim() == "0").then(|| if end == 0 { Some(0) } else { end.checked_add(1) })?
}

fn no_progress(method: &'static str, url: &str, patience: Duration) -> Error {
    let reason = format!("the registry took and said nothing for {} seconds", patience.as_secs());
    Error::Transport { method, url: url.to_owned(), reason }
}

/// Returns when the counter has stood still for so long.
async fn stalled(taken: &AtomicU64, patience: Duration) {
    let mut before = taken.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(patience).await;
        let now = taken.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_goes_on_where_the_registry_says() {
        let endpoint =
            |base: &str| Endpoint { base: base.parse().unwrap(), is_mirror: false, insecure: false };
        let (tls, plain) = (endpoint("https://r.example:5000/"), endpoint("http://127.0.0.1:5000/"));
        for (endpoint, location, expect) in [
            (&tls, "/v2/a/blobs/uploads/1?s=2", Some("https://r.example:5000/v2/a/blobs/uploads/1?s=2")),
            (&tls, "http://r.example/v2/u", Some("https://r.example:5000/v2/u")),
            (&tls, "https://store.example/put", Some("https://store.example/put")),
            (&tls, "http://store.example/put", None),
            (&plain, "http://127.0.0.1:5000/v2/u", Some("http://127.0.0.1:5000/v2/u")),
            (&plain, "file:///etc/passwd", None),
        ] {
            let here = endpoint.base.join("v2/a/blobs/uploads/").unwrap();
            assert_eq!(next_url(endpoint, &here, location).as_ref().map(Url::as_str), expect, "{location}");
        }
    }

    #[test]
    fn how_much_is_there_is_read_off_the_range() {
        for (range, expect) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0-0", Some(0)),
            ("5-9", None),
            ("0-", None),
            ("", None),
        ] {
            assert_eq!(next_byte(range), expect, "{range}");
        }
    }
}
