//! Answers that arrive piece by piece: JSON objects one after another, and multiplexed output.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::client::Response;
use crate::error::Error;

/// The chunks of a body.
pub struct Chunks {
    body: Incoming,
    path: String,
}

impl Chunks {
    pub fn new(response: Response, path: &str) -> Self {
        Self { body: response.into_body(), path: path.to_owned() }
    }

    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|source| Error::Request { path: self.path.clone(), source })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// JSON values one after another, however they are cut into chunks.
pub struct JsonStream {
    chunks: Chunks,
    pending: BytesMut,
    ended: bool,
}

impl JsonStream {
    pub fn new(response: Response, path: &str) -> Self {
        Self { chunks: Chunks::new(response, path), pending: BytesMut::new(), ended: false }
    }

    /// The next value by Go's rules; none at the end.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let Some(value) = self.next_value().await? else { return Ok(None) };
        let fail = |source| Error::Answer { path: self.chunks.path.clone(), source };
        api_types::go::from_value(value).map(Some).map_err(fail)
    }

    pub async fn next_value<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&self.pending).into_iter::<T>();
            match values.next() {
                Some(Ok(value)) => {
                    let used = values.byte_offset();
                    self.pending.advance(used);
                    return Ok(Some(value));
                }
                // An unfinished value needs more bytes, unless there are none.
                Some(Err(error)) if !error.is_eof() || self.ended => {
                    return Err(Error::Answer { path: self.chunks.path.clone(), source: error });
                }
                None if self.ended => return Ok(None),
                _ => {}
            }
            match self.chunks.next().await? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None => self.ended = true,
            }
        }
    }
}
