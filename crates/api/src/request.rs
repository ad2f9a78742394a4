//! One request, as routes see it.

use crate::{body::RequestBody, error::Error, query::Query, server::hangup::Hangup, version::ApiVersion};
use api_types::go::syntax::syntax_error;
use bytes::Bytes;
use http::{HeaderMap, Method, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use serde::de::DeserializeOwned;
use std::io;
use tokio::{io::AsyncRead, sync::mpsc};
use tokio_util::io::StreamReader;

/// The largest JSON body that is read. A container's configuration is a few kilobytes; environment and labels may make
/// it a few hundred.
const MAX_JSON: usize = 8 << 20;

/// A request whose path and query have been taken apart.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The version that the path names; [`ApiVersion::MAX`] when it names none.
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// The client asked for the connection itself.
    pub(crate) upgrade: Option<OnUpgrade>,
    pub(crate) hangup: Hangup,
    raw_path: String,
    body: RequestBody,
}

impl Request {
    pub(crate) fn new(mut request: hyper::Request<Incoming>, hangup: Hangup) -> Self {
        let wants_upgrade = request.headers().contains_key(http::header::UPGRADE);
        let upgrade = wants_upgrade.then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let body = RequestBody::new(body, &parts.headers);
        Self {
            method: parts.method,
            version: ApiVersion::MAX,
            query: Query::parse(parts.uri.query()),
            headers: parts.headers,
            upgrade,
            hangup,
            raw_path: parts.uri.path().to_owned(),
            body,
        }
    }

    /// The decoded path, without the version prefix, which is checked and kept in [`Request::version`].
    pub(crate) fn take_path(&mut self) -> Result<String, Error> {
        let path = percent_decode(&self.raw_path).ok_or(Error::PageNotFound)?;
        let rest = path.strip_prefix('/').ok_or(Error::PageNotFound)?;
        let (first, after) = rest.split_once('/').unwrap_or((rest, ""));
        match ApiVersion::from_prefix(first) {
            Some(version) => {
                self.version = version?;
                Ok(after.to_owned())
            }
            None => Ok(rest.to_owned()),
        }
    }

    /// The path as the client sent it, for the log.
    pub(crate) fn raw_path(&self) -> &str {
        &self.raw_path
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a body was announced.
    pub(crate) fn has_body(&self) -> bool {
        !hyper::body::Body::is_end_stream(&self.body)
    }

    /// Whether the body is, or may be, longer than `limit` bytes.
    pub(crate) fn has_more_than(&self, limit: u64) -> bool {
        hyper::body::Body::size_hint(&self.body).upper().is_none_or(|size| size > limit)
    }

    /// The body as bytes to read, for archives.
    pub(crate) fn into_reader(self) -> impl AsyncRead + Send + Unpin + 'static {
        StreamReader::new(futures_util::stream::unfold(self.into_chunks(), |mut chunks| {
            Box::pin(async move { chunks.recv().await.map(|chunk| (chunk, chunks)) })
        }))
    }

    /// The body in chunks, for a thread that unpacks it.
    pub(crate) fn into_chunks(self) -> mpsc::Receiver<io::Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(8);
        let mut body = self.body;
        tokio::spawn(async move {
            while let Some(frame) = body.frame().await {
                let chunk = match frame {
                    Ok(frame) => frame.into_data().unwrap_or_default(),
                    Err(error) => return drop(sender.send(Err(io::Error::other(error))).await),
                };
                // When nobody wants more, dropping the body takes the rest from the client.
                if sender.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    /// The JSON body; none when there is no body, which Docker accepts wherever every field is optional.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        self.check_json()?;
        if !self.has_body() {
            return Ok(None);
        }
        let bytes = self.read_all(MAX_JSON).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::NoJson);
        }
        let mut values = serde_json::Deserializer::from_slice(&bytes).into_iter();
        let value: serde_json::Value = values.next().ok_or(Error::NoJson)?.map_err(|error| {
            // None: what it cannot hold is well-formed, such as a number beyond 64 bits.
            syntax_error(&bytes).map_or(Error::Json(error), Error::JsonSyntax)
        })?;
        if values.next().is_some() {
            return Err(Error::AfterJson);
        }
        if value.is_null() {
            return Ok(None);
        }
        api_types::go::from_value(value).map(Some).map_err(Error::Json)
    }

    /// As [`Request::json`], where a body is needed.
    pub(crate) async fn required_json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        self.json().await?.ok_or(Error::NoJson)
    }

    /// No type is fine without a body; with one it has to be JSON.
    fn check_json(&self) -> Result<(), Error> {
        let Some(value) = self.headers.get(CONTENT_TYPE) else {
            return if self.has_body() {
                Err(Error::MalformedContentType { value: String::new() })
            } else {
                Ok(())
            };
        };
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mime = value.split(';').next().unwrap_or_default().trim();
        if !mime.contains('/') || mime.contains(char::is_whitespace) {
            return Err(Error::MalformedContentType { value });
        }
        if mime.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Error::ContentType { value }) }
    }

    async fn read_all(&mut self, limit: usize) -> Result<Bytes, Error> {
        let mut collected = Vec::new();
        while let Some(frame) = self.body.frame().await {
            let Ok(data) = frame.map_err(Error::Body)?.into_data() else { continue };
            if collected.len() + data.len() > limit {
                return Err(Error::BodyTooLarge { limit });
            }
            collected.extend_from_slice(&data);
        }
        Ok(collected.into())
    }
}

/// None when an escape is malformed, or what it gives is not UTF-8 or holds a NUL.
fn percent_decode(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut out = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok().filter(|path| !path.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::percent_decode;

    #[test]
    fn paths_are_decoded_once() {
        assert_eq!(percent_decode("/images/a%2Fb%253A/json").as_deref(), Some("/images/a/b%3A/json"));
        for bad in ["/%", "/%4", "/%zz", "/%ff", "/%00"] {
            assert_eq!(percent_decode(bad), None, "{bad}");
        }
    }
}
