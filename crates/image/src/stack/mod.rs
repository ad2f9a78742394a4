//! The layers of one image, each had once and unpacked once, as many at a time as can be.
//!
//! # Theory of operation
//! Every layer's chain ID is known before its first byte. Each layer is then one task, and each byte is handled once:
//! ```text
//!   registry ──fetch──► channel of a few MiB ──┐
//!             (resumes)        (bounded)        ├─► thread: digest → decompress → unpack + digest ──► commit
//!   file (archive, image store) ───────────────┘            of several layers at a time              in order
//! ```
//! Where a layer is a directory of its own (overlays), as many are unpacked at once as there are cores, and only what an
//! archive leaves out waits for the layer below (`docs/decisions/0016`). Where it begins as a copy of its parent, it
//! starts when that is committed, and only fetches run ahead.
//!
//! A task claims its layer first ([`crate::claims`]), so that another pull or load of the same layer waits and then
//! finds it. A task starts only after the one below has got its permit to download or needs none, and takes its turn to
//! unpack only after the one below has: the lowest unfinished layer is therefore always able to go on, and pulls and
//! loads cannot block each other. The permit is held until the layer is unpacked, which bounds what is in memory.
//!
//! A blob that an additional image store has is read from there, by the thread that has the turn; only when it turns out
//! to be another than its name says does that thread ask for the fetch, with permit and turn still in hand.
//!
//! Everything belongs to the future. Dropping it closes the channels, the threads see that and drop their staged
//! layers, and nothing is left but whole layers, which a later pull finds or [`crate::ImageStore::collect_garbage`]
//! removes.

mod awaited;
mod fetch;
mod file;
mod layer;
mod stream;

pub(crate) use file::{BlobFile, Counted};

use crate::{
    Error, ImageStore, Message, Progress, Result, manifest::Descriptor, records::SeenBlob, registry::Session,
};
use layer::Layer;
use model::Digest;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// For what the layers are had.
#[derive(Clone)]
pub(crate) struct Job {
    pub store: ImageStore,
    /// `pull`, `load`: what is interrupted when it is.
    pub operation: &'static str,
    pub progress: Progress,
    made: Arc<Mutex<Vec<Digest>>>,
}

impl Job {
    pub fn new(store: &ImageStore, operation: &'static str, progress: &Progress) -> Self {
        Self { store: store.clone(), operation, progress: progress.clone(), made: Arc::default() }
    }

    /// The layers that were not there and are now, lowest first.
    pub fn made(&self) -> Vec<Digest> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_made(&self, chain: Digest) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(chain);
    }

    fn interrupted(&self) -> Error {
        Error::Interrupted { operation: self.operation }
    }
}

/// One layer to have.
#[derive(Clone)]
pub(crate) struct Plan {
    pub source: Source,
    /// Digest of the blob, if anybody says.
    pub blob: Option<Descriptor>,
    pub seen: Option<SeenBlob>,
    pub diff_id: Digest,
    pub chain: Digest,
    pub parent: Option<Digest>,
}

impl Plan {
    /// What it is called in a client's progress.
    fn shown(&self) -> &str {
        match (&self.source, &self.blob) {
            (Source::Registry(_), Some(blob)) => blob.digest.short(),
            _ => self.diff_id.short(),
        }
    }
}

/// Where a layer's bytes come from.
#[derive(Clone)]
pub(crate) enum Source {
    File(BlobFile),
    Registry(Box<Remote>),
}

/// A blob of a registry's.
#[derive(Clone)]
pub(crate) struct Remote {
    pub session: Session,
    pub blob: Descriptor,
    /// Files, one of which may be the blob.
    pub shared: Vec<BlobFile>,
}

/// Puts one plan for each layer together, lowest first.
pub(crate) fn plan<B>(
    layers: impl IntoIterator<Item = B>,
    diff_ids: &[Digest],
    chains: &[Digest],
    one: impl Fn(B) -> (Source, Option<Descriptor>, Option<SeenBlob>),
) -> Vec<Plan> {
    let parents = std::iter::once(None).chain(chains.iter().cloned().map(Some));
    let layers = layers.into_iter().zip(diff_ids).zip(chains).zip(parents);
    let plan = |(((layer, diff_id), chain), parent): (((B, &Digest), &Digest), _)| {
        let (source, blob, seen) = one(layer);
        Plan { source, blob, seen, diff_id: diff_id.clone(), chain: chain.clone(), parent }
    };
    layers.map(plan).collect()
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

/// Kept by whatever may still hold something of a layer.
type AtWork = mpsc::Sender<()>;

/// Has all layers when it returns; with an error, those that were whole by then, and no thread is at work any more.
pub(crate) async fn have_all(job: &Job, plans: Vec<Plan>) -> Result<()> {
    for plan in plans.iter().filter(|plan| matches!(plan.source, Source::Registry(_))) {
        let status = if job.store.has_layer(&plan.chain) { "Already exists" } else { "Pulling fs layer" };
        job.progress.send(Message::step(plan.shown(), status, 0, 0));
    }
    let mut tasks = JoinSet::new();
    let (at_work, mut ended) = mpsc::channel(1);
    let mut below = watch::channel(Stage::Committed).1;
    for plan in plans {
        let (stage, above) = watch::channel(Stage::Queued);
        let layer = Layer { job: job.clone(), plan, at_work: at_work.clone() };
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
            // Stopped above, or by the end of the runtime.
            Err(_) => drop(first.get_or_insert(job.interrupted())),
        }
    }
    // Threads whose tasks were stopped see that soon, and take away what they made.
    ended.recv().await;
    first.map_or(Ok(()), Err)
}
