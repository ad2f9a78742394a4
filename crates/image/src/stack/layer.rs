//! One layer: claimed, fetched or found, unpacked, committed.

use super::{
    AtWork, BlobFile, Job, Plan, Remote, Source, Stage,
    awaited::{Awaited, reach},
    fetch,
    file::Counted,
    stream,
};
use crate::{
    Error, Message, Result,
    layers::{Expected, Unpacked},
    registry,
    task::{self, held},
};
use scopeguard::ScopeGuard;
use snapshot::StagedLayer;
use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

pub(super) struct Layer {
    pub job: Job,
    pub plan: Plan,
    pub at_work: AtWork,
}

/// What the thread unpacks.
enum Feed {
    File(BlobFile),
    /// These files one after another, and then what it asks to be fetched.
    Registry {
        shared: Vec<BlobFile>,
        ask: oneshot::Sender<()>,
        stream: stream::Receiver,
    },
}

impl Layer {
    pub async fn have(self, mut lower: watch::Receiver<Stage>, stage: &watch::Sender<Stage>) -> Result<()> {
        reach(&mut lower, Stage::Started, self.job.operation).await?;
        let store = &self.job.store;
        let _claim = store.inner.claims.take(&self.plan.chain).await;
        if !store.has_layer(&self.plan.chain) {
            match self.plan.source.clone() {
                Source::File(file) => {
                    stage.send_replace(Stage::Started);
                    self.make(&mut lower, stage, Feed::File(file), None).await?;
                }
                Source::Registry(remote) => {
                    let permit = self.permit().await?;
                    stage.send_replace(Stage::Started);
                    self.pull(&mut lower, stage, *remote, permit).await?;
                    self.tell("Pull complete", 0, 0);
                }
            }
        } else if let Some(seen) = self.plan.seen.clone() {
            store.note_blob(&self.plan.chain, seen)?;
        }
        stage.send_replace(Stage::Committed);
        Ok(())
    }

    fn tell(&self, status: &str, current: u64, total: u64) {
        self.job.progress.send(Message::step(self.plan.shown(), status, current, total));
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let downloads = self.job.store.inner.registries().downloads.clone();
        if let Ok(permit) = downloads.clone().try_acquire_owned() {
            return Ok(permit);
        }
        self.tell("Waiting", 0, 0);
        downloads.acquire_owned().await.map_err(|_| self.job.interrupted())
    }

    /// Fetches and unpacks at the same time, or unpacks what an image store has.
    async fn pull(
        &self,
        lower: &mut watch::Receiver<Stage>,
        stage: &watch::Sender<Stage>,
        remote: Remote,
        permit: OwnedSemaphorePermit,
    ) -> Result<()> {
        let Remote { session, blob, shared } = remote;
        let consumed = Arc::new(AtomicU64::new(0));
        let (to, stream) = stream::channel(consumed.clone());
        let (ask, asked) = oneshot::channel();
        let at_once = shared.is_empty();
        let fetching = async {
            if at_once || asked.await.is_ok() {
                fetch::fetch(&session, &blob, to, &self.job.progress).await?;
                self.extracting(blob.size, &consumed).await;
            }
            Ok::<_, Error>(())
        };
        let unpacking = self.make(lower, stage, Feed::Registry { shared, ask, stream }, Some(permit));
        tokio::pin!(fetching, unpacking);
        // A failed fetch ends the thread by closing the channel; a failed thread is told at once.
        tokio::select! {
            fetched = &mut fetching => {
                fetched?;
                unpacking.await
            }
            unpacked = &mut unpacking => unpacked,
        }
    }

    /// Unpacks and commits. The permit is held until the last byte is unpacked: so no more layers are on their way, and
    /// in memory, than may be fetched.
    async fn make(
        &self,
        lower: &mut watch::Receiver<Stage>,
        stage: &watch::Sender<Stage>,
        feed: Feed,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<()> {
        let unpacked = held(self.unpack(lower, stage, feed).await?);
        drop(permit);
        reach(lower, Stage::Committed, self.job.operation).await?;
        let job = self.job.clone();
        let commit = move || {
            let (unpacked, _at_work) = ScopeGuard::into_inner(unpacked);
            let made = job.store.commit_layer(unpacked)?;
            job.note_made(made.chain.clone());
            Ok(())
        };
        task::blocking("commit layer", commit).await
    }

    /// Unpacks while the layer below is being unpacked too, where the driver can do that. Then the archive may ask for
    /// what is below, and its thread waits for that layer's commit. Turns are taken lowest first, so that whoever is
    /// waited for has had its own.
    async fn unpack(
        &self,
        lower: &mut watch::Receiver<Stage>,
        stage: &watch::Sender<Stage>,
        feed: Feed,
    ) -> Result<(Unpacked, AtWork)> {
        reach(lower, Stage::Unpacking, self.job.operation).await?;
        let arrival = Awaited::new(lower.clone(), self.job.operation);
        let ahead = held(self.stage_ahead(&arrival).await?);
        if ahead.0.is_none() {
            reach(lower, Stage::Committed, self.job.operation).await?;
        }
        let turns = self.job.store.inner.unpacking.clone();
        let turn = turns.acquire_owned().await.map_err(|_| self.job.interrupted())?;
        stage.send_replace(Stage::Unpacking);
        let work = Work { job: self.job.clone(), plan: self.plan.clone(), arrival: arrival.clone() };
        let unpacked = task::blocking("unpack layer", move || {
            let ((ahead, at_work), _turn) = (ScopeGuard::into_inner(ahead), turn);
            Ok((work.unpack(ahead, feed)?, at_work))
        });
        unpacked.await.map_err(|e| if arrival.has_failed() { self.job.interrupted() } else { e })
    }

    /// None when there is nothing to be ahead of, or when the driver cannot.
    async fn stage_ahead(&self, arrival: &Awaited) -> Result<(Option<StagedLayer>, AtWork)> {
        let at_work = self.at_work.clone();
        let Some(parent) = self.plan.parent.clone().filter(|_| !arrival.is_there()) else {
            return Ok((None, at_work));
        };
        let (driver, arrival) = (self.job.store.inner.driver.clone(), arrival.clone().into_blocking());
        let stage = move || Ok((driver.begin_layer_ahead(&parent, arrival).transpose()?, at_work));
        task::blocking("stage layer", stage).await
    }

    /// Shows how far the thread is with what has been fetched; ends with the pull of the layer.
    async fn extracting(&self, total: u64, consumed: &AtomicU64) {
        loop {
            let done = consumed.load(Ordering::Relaxed).min(total);
            self.tell("Extracting", done, total);
            if done >= total {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What the thread knows.
struct Work {
    job: Job,
    plan: Plan,
    arrival: Awaited,
}

impl Work {
    fn unpack(&self, mut ahead: Option<StagedLayer>, feed: Feed) -> Result<Unpacked> {
        let (shared, ask, stream) = match feed {
            Feed::File(file) => return self.unpack_file(ahead, &file, "Loading layer"),
            Feed::Registry { shared, ask, stream } => (shared, ask, stream),
        };
        for file in shared {
            match self.unpack_file(ahead.take(), &file, "Extracting") {
                Err(error) if !self.arrival.has_failed() => {
                    tracing::warn!(path = %file.path.display(), %error, "a shared blob cannot be used");
                    let text = format!("{} is passed over: {error}", file.path.display());
                    self.job.progress.send(Message::status(text));
                }
                unpacked => return unpacked,
            }
        }
        // It listens unless the pull was given up, and then the stream is at its end.
        ask.send(()).unwrap_or(());
        self.unpack_bytes(ahead, stream).map_err(|e| match e {
            Error::DigestMismatch { wanted, .. } => {
                registry::Error::Verification { what: "filesystem layer", digest: wanted }.into()
            }
            e => e,
        })
    }

    fn unpack_file(
        &self,
        ahead: Option<StagedLayer>,
        file: &BlobFile,
        status: &'static str,
    ) -> Result<Unpacked> {
        let (progress, id, total) = (self.job.progress.clone(), self.plan.shown().to_owned(), file.size);
        let report = move |done| progress.send(Message::step(&id, status, done, total));
        self.unpack_bytes(ahead, Counted::new(file.open()?, report))
    }

    fn unpack_bytes(&self, ahead: Option<StagedLayer>, blob: impl Read + Send) -> Result<Unpacked> {
        let staged = ahead.map_or_else(|| self.stage(), Ok)?;
        let expected = Expected {
            parent: self.plan.parent.as_ref(),
            blob: self.plan.blob.as_ref().map(|blob| &blob.digest),
            diff_id: Some(&self.plan.diff_id),
            seen: self.plan.seen.clone(),
        };
        self.job.store.unpack_layer(staged, blob, &expected)
    }

    fn stage(&self) -> Result<StagedLayer> {
        let driver = &self.job.store.inner.driver;
        let ahead = match &self.plan.parent {
            Some(parent) if !self.arrival.is_there() => {
                driver.begin_layer_ahead(parent, self.arrival.clone().into_blocking())
            }
            _ => None,
        };
        Ok(ahead.unwrap_or_else(|| driver.begin_layer(self.plan.parent.as_ref()))?)
    }
}
