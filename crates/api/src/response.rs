//! Answers.

use crate::{error::Error, stream::ProgressBody, version::ApiVersion};
use api_types::ErrorResponse;
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, SERVER},
};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::mpsc;

pub(crate) type Response = http::Response<Body>;

/// The body of an answer.
pub(crate) enum Body {
    Whole(Option<Bytes>),
    /// Chunks as they come. Each goes out at once; an error cuts the connection, so that the client sees the answer was
    /// not complete. The receiving end is dropped when the client has left.
    Stream(mpsc::Receiver<io::Result<Bytes>>),
    /// The messages of an operation in progress.
    Progress(ProgressBody),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(chunks) => {
                chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            Self::Progress(progress) => {
                progress.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) | Self::Progress(_) => SizeHint::default(),
        }
    }
}

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const RAW_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.docker.raw-stream");
pub(crate) const MULTIPLEXED_STREAM: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.multiplexed-stream");
pub(crate) const TAR: HeaderValue = HeaderValue::from_static("application/x-tar");

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    with_body(status, Body::Whole(None))
}

pub(crate) fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

pub(crate) fn with_body(status: StatusCode, body: Body) -> Response {
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response
}

/// JSON ends in a newline, as Go's encoder writes it.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response, Error> {
    let mut bytes = serde_json::to_vec(value).map_err(Error::Encode)?;
    bytes.push(b'\n');
    let mut response = with_body(status, Body::Whole(Some(bytes.into())));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}

pub(crate) fn ok<T: Serialize>(value: &T) -> Result<Response, Error> {
    json(StatusCode::OK, value)
}

pub(crate) fn created<T: Serialize>(value: &T) -> Result<Response, Error> {
    json(StatusCode::CREATED, value)
}

/// A failure: `{"message": …}`.
pub(crate) fn failure(error: &Error) -> Response {
    let status = error.status();
    // RFC 9110, section 15.4.5: a 304 has no content.
    if status == StatusCode::NOT_MODIFIED {
        return empty(status);
    }
    json(status, &ErrorResponse { message: error.to_string() })
        .unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

/// The headers that every answer of Docker's carries.
pub(crate) fn stamp(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let version = HeaderValue::from_str(&ApiVersion::MAX.to_string());
    headers.insert(
        HeaderName::from_static("api-version"),
        version.expect("digits and a dot are a header value"),
    );
    headers.insert(HeaderName::from_static("docker-experimental"), HeaderValue::from_static("false"));
    headers.insert(HeaderName::from_static("ostype"), HeaderValue::from_static("linux"));
    headers
        .insert(SERVER, HeaderValue::from_static(concat!("Lichen/", env!("CARGO_PKG_VERSION"), " (linux)")));
    response
}
