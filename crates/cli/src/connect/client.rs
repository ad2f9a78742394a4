//! Requests to the engine over HTTP/1.1, with connections kept for the next request.

use std::cell::{Cell, OnceCell, RefCell};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE, USER_AGENT};
use http::{Method, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dial::{Stream, dial};
use super::endpoint::Endpoint;
use super::ssh::SshEnded;
use crate::error::Error;

/// The newest API this client knows.
pub const API_VERSION: &str = "1.51";
/// Engines older than this are refused, as docker's client does.
pub const MIN_API_VERSION: &str = "1.24";

pub type Body = BoxBody<Bytes, std::io::Error>;
pub type Response = http::Response<Incoming>;
type Sender = SendRequest<Body>;

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// Query parameters; only those with a value are sent.
#[derive(Default, Clone)]
pub struct Query(String);

impl Query {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let mut encoder = url::form_urlencoded::Serializer::new(std::mem::take(&mut self.0));
        encoder.append_pair(key, value.as_ref());
        self.0 = encoder.finish();
        self
    }

    pub fn opt(self, key: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub fn non_empty(self, key: &str, value: &str) -> Self {
        self.opt(key, (!value.is_empty()).then_some(value))
    }

    pub fn flag(self, key: &str, value: bool) -> Self {
        if value { self.with(key, "1") } else { self }
    }
}

/// One request, before it is sent.
pub struct Request {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

impl Request {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: empty() }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn head(path: impl Into<String>) -> Self {
        Self::new(Method::HEAD, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub fn query(mut self, query: Query) -> Self {
        if !query.0.is_empty() {
            self.path = format!("{}?{}", self.path, query.0);
        }
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let path = self.path.clone();
        let bytes = serde_json::to_vec(value).map_err(|source| Error::Answer { path, source })?;
        self.body = full(bytes);
        Ok(self.header(CONTENT_TYPE.as_str(), "application/json"))
    }

    pub fn body(mut self, content_type: &str, body: Body) -> Self {
        self.body = body;
        self.header(CONTENT_TYPE.as_str(), content_type)
    }
}

/// Percent-encodes what comes from the user into one path segment.
pub fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Percent-encodes an image's name: its slashes and colons are part of the path.
pub fn image_path(text: &str) -> String {
    segment(text).replace("%2F", "/").replace("%3A", ":").replace("%40", "@")
}

pub struct Client {
    pub endpoint: Endpoint,
    idle: RefCell<Vec<Sender>>,
    version: OnceCell<String>,
    /// Headers of config.json's `HttpHeaders`.
    extra_headers: Vec<(String, String)>,
    program: String,
    experimental: Cell<bool>,
}

impl Client {
    pub fn new(endpoint: Endpoint, extra_headers: Vec<(String, String)>, program: &str) -> Self {
        let version = OnceCell::new();
        if let Some(fixed) = std::env::var("DOCKER_API_VERSION").ok().filter(|v| !v.is_empty()) {
            let _first = version.set(fixed.trim_start_matches('v').to_owned());
        }
        Self {
            endpoint,
            idle: RefCell::default(),
            version,
            extra_headers,
            program: program.to_owned(),
            experimental: Cell::new(false),
        }
    }

    /// The version agreed on: the newest that both sides know.
    pub async fn api_version(&self) -> Result<&str, Error> {
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        let response = self.send_raw(Request::head("/_ping"), false).await?;
        let header =
            |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        self.experimental.set(header("docker-experimental").as_deref() == Some("true"));
        let theirs = header("api-version").unwrap_or_else(|| MIN_API_VERSION.to_owned());
        let agreed = if newer(&theirs, API_VERSION) { API_VERSION.to_owned() } else { theirs };
        Ok(self.version.get_or_init(|| agreed))
    }

    async fn connection(&self) -> Result<Sender, Error> {
        while let Some(sender) = self.idle.borrow_mut().pop() {
            if sender.is_ready() {
                return Ok(sender);
            }
        }
        let stream = dial(&self.endpoint).await?;
        let io = TokioIo::new(stream);
        let (sender, connection) =
            handshake(io).await.map_err(|source| Error::Request { path: "/".into(), source })?;
        tokio::spawn(async move {
            // A broken connection shows as the failure of the request that used it.
            drop(connection.with_upgrades().await);
        });
        Ok(sender)
    }

    async fn send_raw(&self, request: Request, upgrade: bool) -> Result<Response, Error> {
        let mut sender = self.connection().await?;
        let path = request.path.clone();
        let response = sender.send_request(self.build(request, upgrade)).await;
        let response = response.map_err(|source| failed(path, source))?;
        if !upgrade {
            // Usable again once the body was read; until then `is_ready` says no.
            self.idle.borrow_mut().insert(0, sender);
        }
        Ok(response)
    }

    fn build(&self, request: Request, upgrade: bool) -> http::Request<Body> {
        let mut built = http::Request::new(request.body);
        *built.method_mut() = request.method;
        if let Ok(uri) = request.path.parse() {
            *built.uri_mut() = uri;
        }
        let headers = built.headers_mut();
        headers.insert(HOST, http::HeaderValue::from_static("api.moby.localhost"));
        if let Ok(agent) = format!("Docker-Client/{} ({})", env!("CARGO_PKG_VERSION"), self.program).parse() {
            headers.insert(USER_AGENT, agent);
        }
        let extra = self.extra_headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in extra.chain(own) {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
                headers.insert(name, value);
            }
        }
        if upgrade {
            headers.insert(CONNECTION, http::HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, http::HeaderValue::from_static("tcp"));
        }
        built
    }

    async fn versioned(&self, mut request: Request) -> Result<Request, Error> {
        request.path = format!("/v{}{}", self.api_version().await?, request.path);
        Ok(request)
    }

    /// Sends a request; an error status becomes [`Error::Api`].
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let request = self.versioned(request).await?;
        check(self.send_raw(request, false).await?).await
    }

    /// Sends a request and reads its JSON answer.
    pub async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let path = request.path.clone();
        let bytes = self.bytes(request).await?;
        api_types::go::from_slice(&bytes).map_err(|source| Error::Answer { path, source })
    }

    /// Sends a request and reads its whole answer.
    pub async fn bytes(&self, request: Request) -> Result<Bytes, Error> {
        let path = request.path.clone();
        let response = self.send(request).await?;
        collect(response, path).await
    }

    /// Sends a request whose answer carries nothing of interest.
    pub async fn run(&self, request: Request) -> Result<(), Error> {
        self.bytes(request).await.map(drop)
    }

    /// Sends a request that turns the connection into a byte stream both ways.
    pub async fn upgrade(&self, request: Request) -> Result<TokioIo<Upgraded>, Error> {
        let path = request.path.clone();
        let request = self.versioned(request).await?;
        let response = check(self.send_raw(request, true).await?).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::NotUpgraded(response.status().as_u16()));
        }
        let upgraded =
            hyper::upgrade::on(response).await.map_err(|source| Error::Request { path, source })?;
        Ok(TokioIo::new(upgraded))
    }

    /// A bare connection, for `dial-stdio`.
    pub async fn raw(&self) -> Result<Stream, Error> {
        dial(&self.endpoint).await
    }
}

/// A failed request, told by its cause where ssh is that.
fn failed(path: String, error: hyper::Error) -> Error {
    let io = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    match io.and_then(|io| io.get_ref()).and_then(|cause| cause.downcast_ref::<SshEnded>()) {
        Some(ended) => Error::Ssh(ended.to_string()),
        None => Error::Request { path, source: error },
    }
}

async fn collect(response: Response, path: String) -> Result<Bytes, Error> {
    let body = response.into_body().collect().await.map_err(|source| Error::Request { path, source })?;
    Ok(body.to_bytes())
}

async fn check(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    let bytes = collect(response, String::new()).await?;
    let message = match serde_json::from_slice::<api_types::ErrorResponse>(&bytes) {
        Ok(body) => body.message,
        Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    let message = match message.trim() {
        "" => status.to_string(),
        text => text.to_owned(),
    };
    Err(Error::Api { status: status.as_u16(), message })
}

/// Whether version `a` is newer than `b`, both like `1.51`.
pub fn newer(a: &str, b: &str) -> bool {
    let parts = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    parts(a) > parts(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries() {
        assert_eq!(segment("a b/c"), "a%20b%2Fc");
        assert_eq!(image_path("r:5000/a/b:t@sha256:0"), "r:5000/a/b:t@sha256:0");
        let query = Query::new().with("a", "x y").flag("b", true).flag("c", false).non_empty("d", "");
        assert_eq!(query.0, "a=x+y&b=1");
        assert!(newer("1.51", "1.9") && !newer("1.40", "1.40"));
    }
}
