//! A request's body, which is read to its end even when nobody wants it.
//!
//! A client that is still sending does not look at the answer, and one whose connection is closed under it loses it: it
//! sees `EPIPE` and not the refusal (RFC 9112, section 9.6). `docker build` sends its context while the engine has
//! said already that it cannot build. So what is left of a body is taken from the client, and thrown away.

use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// So much is taken for nothing. A client that has more to send must live without the answer.
const DISCARD_MAX: usize = 256 << 20;
/// How long a client may pause meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body; dropping it early has the rest thrown away in the background.
pub(crate) struct RequestBody {
    body: Option<Incoming>,
    /// A client that asked whether to send (`Expect: 100-continue`) need not be told to just for this.
    waits: bool,
}

impl RequestBody {
    pub(crate) fn new(body: Incoming, headers: &http::HeaderMap) -> Self {
        Self { body: Some(body), waits: headers.contains_key(http::header::EXPECT) }
    }
}

impl hyper::body::Body for RequestBody {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(hyper::body::Body::size_hint).unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (body, waits) = (self.body.take(), self.waits);
        let wanted = |body: &Incoming| !waits && !hyper::body::Body::is_end_stream(body);
        let Some(body) = body.filter(wanted) else { return };
        // Outside a runtime there is no connection left either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(discard(body));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut discarded = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(PATIENCE, body.frame()).await {
        discarded += frame.data_ref().map_or(0, bytes::Bytes::len);
        if discarded > DISCARD_MAX {
            tracing::debug!(discarded, "a client sends more than is thrown away for it");
            return;
        }
    }
}
