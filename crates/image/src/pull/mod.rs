//! `docker pull`.
//!
//! # Theory of operation
//! A manifest leads to a configuration, and that to the diff IDs, so every layer's chain ID is known before its first
//! byte. Each layer is then one task, and each byte is handled once:
//! ```text
//!   registry ──fetch──► channel of a few MiB ──► thread: digest → decompress → unpack + digest ──► commit
//!             (resumes)        (bounded)                  of several layers at a time              in order
//! ```
//! Where a layer is a directory of its own (overlays), as many are unpacked at once as there are cores, and only what an
//! archive leaves out waits for the layer below (`docs/decisions/0016`). Where it begins as a copy of its parent, it
//! starts when that is committed, and only fetches run ahead. No blob touches the disk.
//!
//! A task claims its layer first ([`crate::claims`]), so that another pull of the same layer waits and then finds it.
//! A task starts only after the one below has got its permit to download or needs none, and takes its turn to unpack
//! only after the one below has: the lowest unfinished layer is therefore always able to go on, and pulls cannot block
//! each other. The permit is held until the layer is unpacked, which bounds what is in memory.
//!
//! Everything belongs to the pull's future. Dropping it closes the channels, the threads see that and drop their staged
//! layers, and nothing is left but whole layers, which a later pull finds or [`crate::ImageStore::collect_garbage`]
//! removes.

mod fetch;
mod layer;
mod one;
mod stream;

use crate::{ImageStore, Message, Platform, Progress, Reference, RegistryAuth, Result};
use model::Digest;

#[derive(Debug, Clone)]
pub struct PullRequest {
    /// What to pull; without tag and digest `latest`, or every tag when `all_tags`.
    pub reference: Reference,
    pub all_tags: bool,
    /// The host's unless given.
    pub platform: Option<Platform>,
    pub auth: Option<RegistryAuth>,
}

/// What a pull gave, one for each tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    pub reference: Reference,
    /// The digest the registry has it by (a manifest's or an index's).
    pub digest: Digest,
    pub image: Digest,
    /// Whether the name now means another image than before.
    pub newer: bool,
}

impl ImageStore {
    /// Pulls, reporting in Docker's words. Dropping the future stops it and leaves nothing half-made.
    pub async fn pull(&self, request: PullRequest, progress: Progress) -> Result<Vec<Pulled>> {
        let wanted = request.reference.clone();
        if !request.all_tags && self.is_embedded(&wanted) {
            return self.pull_embedded(&wanted.or_latest(), &progress).await.map(|pulled| vec![pulled]);
        }
        let platform = request.platform.clone().unwrap_or_else(Platform::host).normalized();
        let registries = self.inner.registries();
        if !request.all_tags && !registries.config.stores.is_empty() {
            let (store, wanted) = (self.clone(), wanted.clone().or_latest());
            let (platform, progress) = (platform.clone(), progress.clone());
            let load = move || Ok((store.load_shared(&wanted, &platform, &progress), progress));
            if let (Some(pulled), progress) = crate::task::blocking("load shared image", load).await? {
                tell(&pulled, &progress);
                return Ok(vec![pulled]);
            }
        }
        let mut tries = registries.tries(&wanted, request.auth.as_ref())?;
        while let Some(session) = tries.next().await? {
            let pull = one::Pull { store: self, session: &session, platform: &platform, progress: &progress };
            match pull.targets(&request).await {
                Ok(pulled) => return Ok(pulled),
                Err(e) => tries.failed(e)?,
            }
        }
        Err(tries.into_error())
    }
}

impl one::Pull<'_> {
    async fn targets(&self, request: &PullRequest) -> Result<Vec<Pulled>> {
        let mut pulled = Vec::new();
        for reference in targets(self.session, request).await? {
            let done = self.run(&reference).await?;
            tell(&done, self.progress);
            pulled.push(done);
        }
        Ok(pulled)
    }
}

/// The references to pull, each with its tag or digest.
async fn targets(session: &crate::registry::Session, request: &PullRequest) -> Result<Vec<Reference>> {
    if !request.all_tags {
        return Ok(vec![request.reference.clone().or_latest()]);
    }
    let tags = session.tags().await?;
    tags.iter().map(|tag| request.reference.with_tag(tag).map_err(Into::into)).collect()
}

fn tell(pulled: &Pulled, progress: &Progress) {
    progress.send(Message::status(format!("Digest: {}", pulled.digest)));
    progress.send(Message::status(outcome(pulled)));
}

pub(crate) fn outcome(pulled: &Pulled) -> String {
    let verdict = if pulled.newer { "Downloaded newer image for" } else { "Image is up to date for" };
    format!("Status: {verdict} {}", pulled.reference.familiar())
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod lab;
#[cfg(test)]
mod parallel;
#[cfg(test)]
mod tests;
