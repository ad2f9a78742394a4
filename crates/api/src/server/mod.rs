//! The accept loop: HTTP/1.1 with half-closed connections, hang-ups noticed, and streams that clients hijack.
//!
//! hyper does the HTTP. What it does not do, and clients of Docker need, is here:
//!
//! * A client may close its sending half and go on reading (`docker exec -i` does when its stdin ends): `half_close`.
//! * hyper then cannot tell a client that left from one that only finished sending. On a unix socket the kernel can
//!   ([`hangup`]); what was being done for a client that left is dropped.
//! * A client may take the connection over without asking for an upgrade ([`hijack`]).

pub(crate) mod hangup;
mod hijack;
pub mod listener;
#[cfg(test)]
mod tests;

use crate::{
    request::Request,
    response::{Body, Response},
};
use hangup::Hangup;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use listener::{Listener, Stream};
use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Enough for any head that a client of Docker sends (`X-Registry-Config` holds credentials of many registries), and
/// for each of the many idle connections not much memory.
const MAX_HEAD: usize = 64 * 1024;

/// How long a client may take over the head of a request once it has begun.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests that are being answered may go on after `shutdown`.
const DRAIN: Duration = Duration::from_secs(5);

/// What answers requests. Never fails: failures are responses.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// Accepts and serves connections until `shutdown`, then lets requests in progress finish for a moment.
pub(crate) async fn run(
    handler: Arc<impl Handler>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) {
    let connections = TaskTracker::new();
    let stop = CancellationToken::new();
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(handler.clone(), listener, connections.clone(), stop.clone())))
        .collect();
    shutdown.await;
    for task in accepting {
        task.abort();
    }
    stop.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::debug!(open = connections.len(), "connections still open at shutdown");
    }
}

async fn accept(
    handler: Arc<impl Handler>,
    listener: Listener,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok(pending) => {
                let (handler, stop) = (handler.clone(), stop.clone());
                connections.spawn(async move {
                    match pending.establish().await {
                        Ok(stream) => connection(handler, stream, stop).await,
                        Err(error) => tracing::debug!(%error, "TLS handshake"),
                    }
                });
            }
            // accept(2) reports EMFILE and errors of the new connection alike: neither may end the loop, and the first
            // must not spin it.
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(handler: Arc<impl Handler>, stream: Stream, stop: CancellationToken) {
    let hangup = Hangup::watch(&stream);
    let gone = hangup.token();
    let stream = match hijack::HijackIo::open(stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "read from a client"),
    };
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (handler, request) = (handler.clone(), Request::new(request, hangup.clone()));
        async move { Ok::<http::Response<Body>, Infallible>(handler.handle(request).await) }
    });
    let http = http1::Builder::new()
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut http = std::pin::pin!(http);
    let outcome = tokio::select! {
        biased;
        outcome = http.as_mut() => outcome,
        () = gone.cancelled() => return,
        () = stop.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection");
    }
}
