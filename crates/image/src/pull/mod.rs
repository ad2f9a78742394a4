//! `docker pull`.
//!
//! # Theory of operation
//! A manifest leads to a configuration, and that to the diff IDs, so every layer's chain ID is known before its first
//! byte, and all layers are had at once ([`crate::stack`]). No blob touches the disk.
//!
//! Additional image stores come first: for the whole image when they know the name, for single blobs when only the
//! registry does.
//!
//! Everything belongs to the pull's future: dropping it leaves nothing but whole layers.

mod one;

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
