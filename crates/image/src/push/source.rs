//! Where the bytes of a blob come from when they have to be sent.

use super::feed::{Feed, Feeder, Sent, feed};
use crate::{
    Error, ImageStore, Reference, RegistryAuth, Result,
    exact::Layer,
    gzip,
    manifest::Descriptor,
    registry::{self, Session},
};
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A way to have a blob, as often as it takes.
#[derive(Clone)]
pub(super) enum Source {
    /// The layer's archive as it is.
    Plain(Layer),
    /// The layer's archive, compressed by [`gzip::encoder`].
    Gzip(Layer),
    /// The blob, from a registry that has it.
    Copy(Box<Session>, Descriptor),
}

impl Source {
    /// Bytes that [`Source::open`] counts in `done`, when it is through.
    pub fn total(&self) -> u64 {
        match self {
            Self::Plain(layer) | Self::Gzip(layer) => layer.size,
            Self::Copy(_, blob) => blob.size,
        }
    }

    /// Begins to give the blob, without its first `skip` bytes. `done` tells how far it is.
    pub fn open(&self, store: &ImageStore, skip: u64, done: &Arc<AtomicU64>) -> Feed {
        let (feeder, feed) = feed(skip);
        let breaker = feeder.breaker();
        done.store(0, Ordering::Relaxed);
        let (store, done) = (store.clone(), done.clone());
        match self.clone() {
            Self::Copy(session, blob) => {
                tokio::spawn(async move {
                    if let Err(e) = copy(&session, &blob, feeder, &done).await {
                        breaker.fail(e).await;
                    }
                });
            }
            Self::Plain(layer) => {
                tokio::task::spawn_blocking(move || match plain(&store, &layer, feeder, &done) {
                    Ok(()) => {}
                    Err(e) => breaker.fail_blocking(e),
                });
            }
            Self::Gzip(layer) => {
                tokio::task::spawn_blocking(move || match compressed(&store, &layer, feeder, &done) {
                    Ok(()) => {}
                    Err(e) => breaker.fail_blocking(e),
                });
            }
        }
        feed
    }
}

fn stream(source: io::Error) -> Error {
    Error::Stream { operation: "send layer", source }
}

fn plain(store: &ImageStore, layer: &Layer, mut feeder: Feeder, done: &AtomicU64) -> Result<()> {
    store.write_layer(layer, &mut Counted { to: &mut feeder, done })?;
    feeder.end_blocking().map_err(stream)
}

fn compressed(store: &ImageStore, layer: &Layer, feeder: Feeder, done: &AtomicU64) -> Result<()> {
    let mut encoder = gzip::encoder(feeder);
    store.write_layer(layer, &mut Counted { to: &mut encoder, done })?;
    encoder.finish().and_then(Feeder::end_blocking).map_err(stream)
}

async fn copy(session: &Session, blob: &Descriptor, mut feeder: Feeder, done: &AtomicU64) -> Result<()> {
    let mut response = session.blob(&blob.digest, 0).await?;
    let url = response.url().to_string();
    while let Some(bytes) = response.chunk().await.map_err(|e| registry::transport("Get", &url, &e))? {
        done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        feeder.send(bytes).await.map_err(stream)?;
    }
    feeder.end();
    Ok(())
}

/// A registry, if there is one, that has the blob in one of these repositories. The credentials are for the registry
/// that is pushed to; others are asked without.
pub(super) async fn holder(
    store: &ImageStore,
    repositories: &[String],
    blob: &Descriptor,
    target: &Reference,
    auth: Option<&RegistryAuth>,
) -> Option<Session> {
    for repository in repositories {
        match holds(store, repository, blob, target, auth).await {
            Ok(Some(session)) => return Some(session),
            Ok(None) => {}
            Err(error) => tracing::debug!(%repository, %error, "no blob to copy"),
        }
    }
    None
}

async fn holds(
    store: &ImageStore,
    repository: &str,
    blob: &Descriptor,
    target: &Reference,
    auth: Option<&RegistryAuth>,
) -> Result<Option<Session>> {
    let reference = Reference::parse(repository)?;
    let auth = auth.filter(|_| reference.domain() == target.domain());
    let registries = store.inner.registries();
    let mut tries = registries.tries(&reference, auth)?;
    while let Some(session) = tries.next().await? {
        match session.has_blob(&blob.digest).await {
            Ok(true) => return Ok(Some(session)),
            Ok(false) => {}
            Err(e) => tries.failed(e.into())?,
        }
    }
    Ok(None)
}

/// What a blob must be when it is sent whole.
pub(super) fn check(sent: &Sent, wanted: Option<&Descriptor>) -> Result<()> {
    match wanted.filter(|wanted| wanted.digest != sent.digest) {
        Some(wanted) => Err(Error::DigestMismatch {
            what: "layer".to_owned(),
            wanted: wanted.digest.clone(),
            found: sent.digest.clone(),
        }),
        None => Ok(()),
    }
}

/// Counts what passes.
struct Counted<'a, W: Write> {
    to: &'a mut W,
    done: &'a AtomicU64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.done.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
