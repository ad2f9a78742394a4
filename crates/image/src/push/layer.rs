//! One layer: have its blob in the repository, the cheapest way.

use super::{
    feed::Sent,
    manifest::LayerPlan,
    source::{self, Source},
};
use crate::{
    Error, ImageStore, Message, Progress, RegistryAuth, Result,
    gzip::Encoder,
    manifest::Descriptor,
    records::SeenBlob,
    registry::{self, Mount, Session, Upload},
};
use model::Digest;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::OwnedSemaphorePermit, task::JoinSet};

/// Repositories that a registry is asked to mount one blob from (Docker: 4).
const MOUNTS_MAX: usize = 4;
/// Attempts without a single new byte before an upload fails, as for downloads.
const ATTEMPTS: u32 = 5;
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// The collaborators of all layers of one image.
pub(super) struct Layers<'a> {
    pub store: &'a ImageStore,
    pub session: &'a Session,
    pub auth: Option<&'a RegistryAuth>,
    pub progress: &'a Progress,
}

/// Has all layers in the repository when it returns; gives their blobs, lowest first.
pub(super) async fn send_all(layers: &Layers<'_>, plans: Vec<LayerPlan>) -> Result<Vec<Descriptor>> {
    let order: Vec<Digest> = plans.iter().map(|plan| plan.layer.diff_id.clone()).collect();
    // The topmost first, as Docker lists them; a layer that comes twice is sent once.
    let unique: HashMap<Digest, LayerPlan> =
        plans.into_iter().map(|plan| (plan.layer.diff_id.clone(), plan)).collect();
    let mut tasks = JoinSet::new();
    let mut begun: Vec<&Digest> = Vec::new();
    for diff_id in order.iter().rev() {
        let Some(plan) = unique.get(diff_id).filter(|_| !begun.contains(&diff_id)) else { continue };
        begun.push(diff_id);
        layers.progress.send(Message::step(diff_id.short(), "Preparing", 0, 0));
        let task = Task {
            store: layers.store.clone(),
            session: layers.session.clone(),
            auth: layers.auth.cloned(),
            progress: layers.progress.clone(),
            plan: plan.clone(),
        };
        tasks.spawn(async move { (task.plan.layer.diff_id.clone(), task.have().await) });
    }
    let mut blobs = HashMap::new();
    // Tasks still running when one fails are dropped with the set.
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((diff_id, blob)) => drop(blobs.insert(diff_id, blob?)),
            Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            Err(_) => return Err(Error::Interrupted { operation: "push" }),
        }
    }
    order.iter().map(|id| blobs.get(id).cloned().ok_or(Error::Interrupted { operation: "push" })).collect()
}

/// A blob that the repository has, and who made it.
type There = (Descriptor, Option<Encoder>);

struct Task {
    store: ImageStore,
    session: Session,
    auth: Option<RegistryAuth>,
    progress: Progress,
    plan: LayerPlan,
}

impl Task {
    async fn have(&self) -> Result<Descriptor> {
        let _permit = self.permit().await?;
        let (blob, encoder) = self.blob().await?;
        let repository = self.session.reference().name();
        let seen = SeenBlob { encoder, ..SeenBlob::new(&repository, &blob) };
        self.store.note_blob(&self.plan.layer.chain, seen)?;
        Ok(blob)
    }

    fn tell(&self, status: &str, current: u64, total: u64) {
        self.progress.send(Message::step(self.plan.layer.diff_id.short(), status, current, total));
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let uploads = self.store.inner.registries().uploads.clone();
        if let Ok(permit) = uploads.clone().try_acquire_owned() {
            return Ok(permit);
        }
        self.tell("Waiting", 0, 0);
        uploads.acquire_owned().await.map_err(|_| Error::Interrupted { operation: "push" })
    }

    async fn blob(&self) -> Result<There> {
        if let Some(wanted) = &self.plan.wanted {
            let Some(upload) = self.found_there(wanted).await? else {
                return Ok((wanted.clone(), self.plan.encoder_of(&wanted.digest)));
            };
            if let Some(sent) = self.send_exactly(wanted, upload).await? {
                return Ok(sent);
            }
            self.explain(wanted);
        }
        self.new_blob().await
    }

    /// Sends this very blob; none, and no upload left, when it cannot be had.
    async fn send_exactly(&self, wanted: &Descriptor, mut upload: Upload) -> Result<Option<There>> {
        if let Some((source, encoder)) = self.made_again(wanted) {
            match self.send(&source, upload, Some(wanted)).await {
                Ok(_) => return Ok(Some((wanted.clone(), encoder))),
                // Marked as ours, and not what our encoder gives: by another release, or by somebody else.
                Err(Error::DigestMismatch { .. }) if encoder.is_some() => {
                    upload = self.session.begin_upload().await?;
                }
                Err(e) => return Err(e),
            }
        }
        if let Some(source) = self.copied(wanted).await {
            self.send(&source, upload, Some(wanted)).await?;
            return Ok(Some((wanted.clone(), None)));
        }
        self.session.cancel_upload(upload).await;
        Ok(None)
    }

    /// A blob of whatever digest: one that the registry has, or a new one.
    async fn new_blob(&self) -> Result<There> {
        let mut upload = None;
        for known in self.plan.alternatives() {
            if let Some(unused) = upload.take() {
                self.session.cancel_upload(unused).await;
            }
            upload = self.found_there(&known).await?;
            if upload.is_none() {
                let encoder = self.plan.encoder_of(&known.digest);
                return Ok((known, encoder));
            }
        }
        let upload = match upload {
            Some(upload) => upload,
            None => self.session.begin_upload().await?,
        };
        let sent = self.send(&Source::Gzip(self.plan.layer.clone()), upload, None).await?;
        let blob = Descriptor::new(self.plan.media_type, sent.digest, sent.size);
        Ok((blob, Some(Encoder::Lichen1)))
    }

    /// None when the repository has the blob; else the upload with which to send it.
    async fn found_there(&self, blob: &Descriptor) -> Result<Option<Upload>> {
        if self.session.has_blob(&blob.digest).await? {
            self.tell("Layer already exists", 0, 0);
            return Ok(None);
        }
        let mut begun: Option<Upload> = None;
        for from in self.mountable(&blob.digest) {
            match self.session.mount(&blob.digest, &from).await {
                Ok(Mount::Mounted) => {
                    if let Some(unused) = begun {
                        self.session.cancel_upload(unused).await;
                    }
                    self.tell(&format!("Mounted from {from}"), 0, 0);
                    return Ok(None);
                }
                Ok(Mount::Upload(upload)) => {
                    if let Some(unused) = begun.replace(upload) {
                        self.session.cancel_upload(unused).await;
                    }
                }
                // A repository that may not be read, or is gone; the blob can still be sent.
                Err(error) => tracing::debug!(%from, blob = %blob.digest, %error, "not mounted"),
            }
        }
        match begun {
            Some(upload) => Ok(Some(upload)),
            None => Ok(Some(self.session.begin_upload().await?)),
        }
    }

    /// Repositories of the same registry in which the blob was seen, the latest first.
    fn mountable(&self, blob: &Digest) -> Vec<String> {
        let target = self.session.reference();
        let seen = self.plan.seen.iter().rev().filter(|seen| seen.blob.digest == *blob);
        let paths = seen.filter_map(|seen| seen.path_in(target.domain()));
        paths.filter(|path| path != target.path()).take(MOUNTS_MAX).collect()
    }

    /// This very blob from the layer's files.
    fn made_again(&self, wanted: &Descriptor) -> Option<(Source, Option<Encoder>)> {
        let layer = &self.plan.layer;
        if wanted.digest == layer.diff_id {
            return Some((Source::Plain(layer.clone()), None));
        }
        let encoder = self.plan.encoder_of(&wanted.digest)?;
        Some((Source::Gzip(layer.clone()), Some(encoder)))
    }

    /// This very blob from a registry that has it.
    async fn copied(&self, wanted: &Descriptor) -> Option<Source> {
        let seen = self.plan.seen.iter().rev().filter(|seen| seen.blob.digest == wanted.digest);
        let repositories: Vec<String> =
            seen.map(|seen| seen.repository.clone()).filter(|r| !r.is_empty()).collect();
        let (target, auth) = (self.session.reference(), self.auth.as_ref());
        let session = source::holder(&self.store, &repositories, wanted, target, auth).await?;
        Some(Source::Copy(Box::new(session), wanted.clone()))
    }

    fn explain(&self, wanted: &Descriptor) {
        self.progress.send(Message::status(format!(
            "{}: blob {} is not kept here and no registry it was seen in has it: compressed anew, so the digest of the image changes",
            self.plan.layer.diff_id.short(),
            wanted.digest
        )));
    }

    /// Sends the blob, going on where it broke off.
    async fn send(&self, source: &Source, upload: Upload, wanted: Option<&Descriptor>) -> Result<Sent> {
        let done = Arc::new(AtomicU64::new(0));
        let sending = self.send_patiently(source, upload, wanted, &done);
        tokio::pin!(sending);
        let sent = loop {
            tokio::select! {
                sent = &mut sending => break sent?,
                () = tokio::time::sleep(REPORT_EVERY) => {
                    self.tell("Pushing", done.load(Ordering::Relaxed), source.total());
                }
            }
        };
        self.tell("Pushed", 0, 0);
        Ok(sent)
    }

    async fn send_patiently(
        &self,
        source: &Source,
        mut upload: Upload,
        wanted: Option<&Descriptor>,
        done: &Arc<AtomicU64>,
    ) -> Result<Sent> {
        let (mut offset, mut attempt) = (0, 0);
        loop {
            let error = match self.attempt(source, &mut upload, offset, wanted, done).await {
                Ok(sent) => return Ok(sent),
                Err(Error::Registry(e)) if e.is_passing() => e,
                Err(e) => {
                    self.session.cancel_upload(upload).await;
                    return Err(e);
                }
            };
            let before = offset;
            offset = match self.session.upload_offset(&mut upload).await {
                Ok(Some(offset)) => offset,
                Ok(None) | Err(registry::Error::Status { .. }) => {
                    upload = self.session.begin_upload().await?;
                    0
                }
                Err(e) if e.is_passing() => offset,
                Err(e) => return Err(e.into()),
            };
            attempt = if offset > before { 1 } else { attempt + 1 };
            if attempt >= ATTEMPTS {
                return Err(error.into());
            }
            let pause = self.session.patience().pause(attempt, &error);
            tracing::warn!(layer = %self.plan.layer.diff_id, offset, %error, "upload broke off, trying again");
            self.tell(&registry::retrying(pause), 0, 0);
            tokio::time::sleep(pause).await;
        }
    }

    /// One request with what follows `offset`, and the one that ends the upload.
    async fn attempt(
        &self,
        source: &Source,
        upload: &mut Upload,
        offset: u64,
        wanted: Option<&Descriptor>,
        done: &Arc<AtomicU64>,
    ) -> Result<Sent> {
        let feed = source.open(&self.store, offset, done);
        if let Err(e) = self.session.append(upload, offset, feed.body, &feed.taken).await {
            // The reason behind a body that ended early says more than the request can.
            return Err(feed.failure.take().unwrap_or(Error::Registry(e)));
        }
        let interrupted = Error::Interrupted { operation: "send layer" };
        let sent = feed.whole.await.map_err(|_| feed.failure.take().unwrap_or(interrupted))?;
        source::check(&sent, wanted)?;
        self.session.finish_upload(upload.clone(), &sent.digest).await?;
        Ok(sent)
    }
}
