//! The layers of one image: each fetched and unpacked once, in parallel as far as they can be.

use super::{fetch, stream};
use crate::{
    Error, ImageStore, Message, Progress, Result,
    layers::{Expected, Unpacked},
    manifest::Descriptor,
    records::SeenBlob,
    registry::{self, Session},
    task::{self, held},
};
use model::Digest;
use scopeguard::ScopeGuard;
use snapshot::{Arrival, StagedLayer};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinSet,
};

/// One layer to have.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub repository: String,
    pub blob: Descriptor,
    pub diff_id: Digest,
    pub chain: Digest,
    pub parent: Option<Digest>,
}

/// How far a layer is; the layer above waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Queued,
    /// It has its permit to download, or needs none.
    Started,
    /// It is being unpacked.
    Unpacking,
    Committed,
}

pub(super) fn plan(
    repository: &str,
    blobs: &[Descriptor],
    diff_ids: &[Digest],
    chains: &[Digest],
) -> Vec<Plan> {
    let parents = std::iter::once(None).chain(chains.iter().cloned().map(Some));
    let layers = blobs.iter().zip(diff_ids).zip(chains).zip(parents);
    let plan = |(((blob, diff_id), chain), parent): (((&Descriptor, &Digest), &Digest), _)| Plan {
        repository: repository.to_owned(),
        blob: blob.clone(),
        diff_id: diff_id.clone(),
        chain: chain.clone(),
        parent,
    };
    layers.map(plan).collect()
}

/// Has all layers when it returns; with an error, those that were whole by then, and no thread is at work any more.
pub(super) async fn fetch_all(
    store: &ImageStore,
    session: &Session,
    plans: Vec<Plan>,
    progress: &Progress,
) -> Result<()> {
    for plan in &plans {
        let status = if store.has_layer(&plan.chain) { "Already exists" } else { "Pulling fs layer" };
        progress.send(Message::step(plan.blob.digest.short(), status, 0, 0));
    }
    let mut tasks = JoinSet::new();
    let (at_work, mut ended) = mpsc::channel(1);
    let mut below = watch::channel(Stage::Committed).1;
    for plan in plans {
        let (stage, above) = watch::channel(Stage::Queued);
        let layer = Layer {
            store: store.clone(),
            session: session.clone(),
            plan,
            progress: progress.clone(),
            at_work: at_work.clone(),
        };
        let lower = std::mem::replace(&mut below, above);
        tasks.spawn(async move { layer.have(lower, &stage).await });
    }
    drop(at_work);
    let mut first: Option<Error> = None;
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(Ok(())) => {}
            Ok(Err(e)) => {
                // A layer whose lower neighbour failed only says that it was interrupted.
                let better = matches!(&first, None | Some(Error::Interrupted { .. }));
                if better {
                    first = Some(e);
                }
                tasks.abort_all();
            }
            Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            Err(_) => {}
        }
    }
    // Threads whose tasks were stopped see that soon, and take away what they made.
    ended.recv().await;
    first.map_or(Ok(()), Err)
}

struct Layer {
    store: ImageStore,
    session: Session,
    plan: Plan,
    progress: Progress,
    at_work: AtWork,
}

/// Kept by whatever may still hold something of a layer.
type AtWork = mpsc::Sender<()>;

impl Layer {
    async fn have(self, mut lower: watch::Receiver<Stage>, stage: &watch::Sender<Stage>) -> Result<()> {
        reach(&mut lower, Stage::Started).await?;
        let _claim = self.store.inner.claims.take(&self.plan.chain).await;
        let seen = SeenBlob::new(&self.plan.repository, &self.plan.blob);
        if self.store.has_layer(&self.plan.chain) {
            self.store.note_blob(&self.plan.chain, seen)?;
        } else {
            let permit = self.permit().await?;
            stage.send_replace(Stage::Started);
            self.make(lower, stage, seen, permit).await?;
            self.tell("Pull complete", 0, 0);
        }
        stage.send_replace(Stage::Committed);
        Ok(())
    }

    fn tell(&self, status: &str, current: u64, total: u64) {
        self.progress.send(Message::step(self.plan.blob.digest.short(), status, current, total));
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let downloads = self.store.inner.registries().downloads.clone();
        if let Ok(permit) = downloads.clone().try_acquire_owned() {
            return Ok(permit);
        }
        self.tell("Waiting", 0, 0);
        let closed = |_| Error::Interrupted { operation: "pull" };
        downloads.acquire_owned().await.map_err(closed)
    }

    /// Fetches and unpacks at the same time. The permit is held until the last byte is unpacked: so no more layers are
    /// on their way, and in memory, than may be fetched.
    async fn make(
        &self,
        mut lower: watch::Receiver<Stage>,
        stage: &watch::Sender<Stage>,
        seen: SeenBlob,
        permit: OwnedSemaphorePermit,
    ) -> Result<()> {
        let consumed = Arc::new(AtomicU64::new(0));
        let (to, from) = stream::channel(consumed.clone());
        let fetching = async {
            fetch::fetch(&self.session, &self.plan.blob, to, &self.progress).await?;
            self.extracting(&consumed).await;
            Ok::<_, Error>(())
        };
        let unpacking = async {
            let unpacked = held(self.unpack(&mut lower, stage, seen, from).await?);
            drop(permit);
            reach(&mut lower, Stage::Committed).await?;
            let store = self.store.clone();
            let commit = move || store.commit_layer(ScopeGuard::into_inner(unpacked).0);
            task::blocking("commit layer", commit).await
        };
        tokio::pin!(fetching, unpacking);
        // A failed fetch ends the thread by closing the channel; a failed thread is told at once.
        tokio::select! {
            fetched = &mut fetching => {
                fetched?;
                unpacking.await.map(drop)
            }
            unpacked = &mut unpacking => unpacked.map(drop),
        }
    }

    /// Unpacks while the layer below is being unpacked too, where the driver can do that. Then the archive may ask for
    /// what is below, and its thread waits for that layer's commit. Turns are taken lowest first, so that whoever is
    /// waited for has had its own.
    async fn unpack(
        &self,
        lower: &mut watch::Receiver<Stage>,
        stage: &watch::Sender<Stage>,
        seen: SeenBlob,
        from: stream::Receiver,
    ) -> Result<(Unpacked, AtWork)> {
        reach(lower, Stage::Unpacking).await?;
        let arrival = Awaited::new(lower.clone());
        let ahead = held(self.stage_ahead(&arrival).await?);
        if ahead.0.is_none() {
            reach(lower, Stage::Committed).await?;
        }
        let turns = self.store.inner.unpacking.clone();
        let turn = turns.acquire_owned().await.map_err(|_| Error::Interrupted { operation: "pull" })?;
        stage.send_replace(Stage::Unpacking);
        let (store, plan) = (self.store.clone(), self.plan.clone());
        let unpacked = task::blocking("unpack layer", move || {
            let ((ahead, at_work), _turn) = (ScopeGuard::into_inner(ahead), turn);
            Ok((unpack(&store, &plan, ahead, seen, from)?, at_work))
        });
        unpacked
            .await
            .map_err(|e| if arrival.has_failed() { Error::Interrupted { operation: "pull" } } else { e })
    }

    /// None when there is nothing to be ahead of, or when the driver cannot.
    async fn stage_ahead(&self, arrival: &Awaited) -> Result<(Option<StagedLayer>, AtWork)> {
        let at_work = self.at_work.clone();
        let Some(parent) = self.plan.parent.clone().filter(|_| !arrival.is_there()) else {
            return Ok((None, at_work));
        };
        let (driver, arrival) = (self.store.inner.driver.clone(), arrival.clone().into_blocking());
        let stage = move || Ok((driver.begin_layer_ahead(&parent, arrival).transpose()?, at_work));
        task::blocking("stage layer", stage).await
    }

    /// Shows how far the thread is with what has been fetched; ends with the pull of the layer.
    async fn extracting(&self, consumed: &AtomicU64) {
        let total = self.plan.blob.size;
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

fn unpack(
    store: &ImageStore,
    plan: &Plan,
    ahead: Option<StagedLayer>,
    seen: SeenBlob,
    from: stream::Receiver,
) -> Result<Unpacked> {
    let staged = match ahead {
        Some(staged) => staged,
        None => store.inner.driver.begin_layer(plan.parent.as_ref())?,
    };
    let expected = Expected {
        parent: plan.parent.as_ref(),
        blob: Some(&plan.blob.digest),
        diff_id: Some(&plan.diff_id),
        seen: Some(seen),
    };
    store.unpack_layer(staged, from, &expected).map_err(|e| match e {
        Error::DigestMismatch { wanted, .. } => {
            registry::Error::Verification { what: "filesystem layer", digest: wanted }.into()
        }
        e => e,
    })
}

/// Waits until the layer below is so far.
async fn reach(lower: &mut watch::Receiver<Stage>, stage: Stage) -> Result<()> {
    let failed = |_| Error::Interrupted { operation: "pull" };
    lower.wait_for(|now| *now >= stage).await.map(drop).map_err(failed)
}

/// The layer below, for the thread that unpacks.
#[derive(Clone)]
struct Awaited {
    lower: watch::Receiver<Stage>,
    has_failed: Arc<AtomicBool>,
}

impl Awaited {
    fn new(lower: watch::Receiver<Stage>) -> Self {
        Self { lower, has_failed: Arc::default() }
    }

    fn is_there(&self) -> bool {
        *self.lower.borrow() == Stage::Committed
    }

    /// Whether a thread waited in vain. The reason is the lower layer's to tell.
    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    fn into_blocking(self) -> Arrival {
        let runtime = Handle::current();
        Box::new(move || {
            runtime.block_on(reach(&mut self.lower.clone(), Stage::Committed)).map_err(|e| {
                self.has_failed.store(true, Ordering::Relaxed);
                io::Error::other(e)
            })
        })
    }
}
