//! Answers that come bit by bit: lines of JSON, archives, the output of containers.

use crate::{
    error::Error,
    response::{self, Body, Response},
};
use bytes::Bytes;
use engine::{
    images::{Message, Progress},
    logs::LogStream,
};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::task::AbortOnDropHandle;

/// How many chunks may wait for a slow client before the producer waits.
const BACKLOG: usize = 16;

/// One line of a JSON stream.
pub(crate) fn line<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    let mut bytes = serde_json::to_vec(value).map_err(Error::Encode)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

/// Sends one line after another; see [`lines`].
pub(crate) struct Lines(mpsc::Sender<io::Result<Bytes>>);

impl Lines {
    /// Waits while the client is behind. False when it has left, or the value cannot be written: then stop.
    pub(crate) async fn send<T: Serialize>(&self, value: &T) -> bool {
        match line(value) {
            Ok(bytes) => self.0.send(Ok(bytes)).await.is_ok(),
            Err(error) => {
                tracing::error!(%error, "write a line of a stream");
                false
            }
        }
    }

    /// Returns when the client has left.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Answers 200 at once, and with the lines that `producer` sends until it ends or the client leaves.
pub(crate) fn lines<F>(producer: impl FnOnce(Lines) -> F) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(producer(Lines(sender)));
    chunks(response::JSON, receiver)
}

/// Answers 200 with the chunks of `receiver`.
pub(crate) fn chunks(content_type: HeaderValue, receiver: mpsc::Receiver<io::Result<Bytes>>) -> Response {
    let mut response = response::with_body(StatusCode::OK, Body::Stream(receiver));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Answers 200 with a log; a failure in the middle cuts the connection.
pub(crate) fn log(content_type: HeaderValue, mut log: LogStream) -> Response {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        loop {
            let chunk = tokio::select! {
                chunk = log.next() => chunk,
                () = sender.closed() => return,
            };
            let Some(chunk) = chunk else { return };
            if sender.send(chunk.map_err(io::Error::other)).await.is_err() {
                return;
            }
        }
    });
    chunks(content_type, receiver)
}

/// When the failure of an operation that reports progress is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// As a status, unless a message has gone out before.
    StatusWhileSilent,
    /// Always as the last message of a 200.
    InBand,
}

/// The messages of an operation, then how it ended. Dropping it, when the client leaves, stops the operation.
pub(crate) struct ProgressBody {
    first: Option<Bytes>,
    messages: UnboundedReceiver<Bytes>,
    work: Option<AbortOnDropHandle<Result<(), engine::Error>>>,
}

/// Runs `work`, answering with the messages it sends.
pub(crate) async fn progress<F>(failure: Failure, work: impl FnOnce(Progress) -> F) -> Result<Response, Error>
where
    F: Future<Output = Result<(), engine::Error>> + Send + 'static,
{
    // Unbounded, because the sink is called from threads that must not wait; an operation's messages are few.
    let (sender, mut messages) = mpsc::unbounded_channel();
    let sink = Progress::new(move |message: Message| {
        // An error means that the client has left, and the work is about to be stopped.
        line(&message).ok().and_then(|bytes| sender.send(bytes).ok()).unwrap_or_default();
    });
    // Before anything is awaited: a client may leave while the operation has not said a word.
    let mut work = AbortOnDropHandle::new(tokio::spawn(work(sink)));
    let first = messages.recv().await;
    if first.is_none() && failure == Failure::StatusWhileSilent {
        (&mut work).await.map_err(|_| Error::Panicked)??;
        return Ok(json_body(Body::Whole(None)));
    }
    Ok(json_body(Body::Progress(ProgressBody { first, messages, work: Some(work) })))
}

fn json_body(body: Body) -> Response {
    let mut response = response::with_body(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, response::JSON);
    response
}

impl ProgressBody {
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(message) = ready!(self.messages.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(message)));
        }
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let outcome = ready!(Pin::new(work).poll(cx));
        self.work = None;
        let error = match outcome {
            Ok(Ok(())) => return Poll::Ready(None),
            Ok(Err(error)) => error.to_string(),
            Err(_) => Error::Panicked.to_string(),
        };
        tracing::info!(error, "failed after the answer had begun");
        Poll::Ready(Some(line(&Message::error(error)).map_err(io::Error::other)))
    }
}
