//! Trees that are being made.

use super::{Stack, Trees};
use crate::{Error, Result};
use archive::at;
use model::{Digest, Id};
use rustix::fs::{self, Mode};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

/// Where a new tree is being made, for the driver to fill in.
pub struct Staging {
    pub path: PathBuf,
    pub root: OwnedFd,
    name: String,
}

impl Stack {
    /// A new empty directory for a layer on top of `parent`, which cannot be removed until it is done with.
    pub fn stage(&self, parent: Option<&Digest>) -> Result<Staging> {
        if let Some(parent) = parent {
            let mut state = self.state();
            state.record(parent)?;
            *state.staged_on.entry(parent.clone()).or_default() += 1;
        }
        let staging = self.new_tree(parent);
        if staging.is_err() {
            self.unstage(parent);
        }
        staging
    }

    /// The same for a parent that may not be there yet; once it is, it cannot be removed either.
    pub fn stage_ahead(&self, parent: &Digest) -> Result<Staging> {
        *self.state().staged_on.entry(parent.clone()).or_default() += 1;
        let staging = self.new_tree(None);
        if staging.is_err() {
            self.unstage(Some(parent));
        }
        staging
    }

    /// A snapshot of the parent where trees are subvolumes, else empty.
    fn new_tree(&self, parent: Option<&Digest>) -> Result<Staging> {
        let parent = parent.filter(|_| self.shared.trees == Trees::Subvolumes);
        let like = parent.map(|parent| self.open_layer(parent)).transpose()?;
        loop {
            let name = Id::random().short().to_owned();
            let path = self.tmp_path().join(&name);
            let fail = |operation| Error::file(operation, &path);
            match self.shared.trees.make(self.tmp(), &name, like.as_ref().map(AsFd::as_fd)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(fail("mkdir"))?,
            }
            let root = at::open_dir(self.tmp(), name.as_bytes()).map_err(fail("open"))?;
            if like.is_none() {
                // The process' umask has been at it.
                fs::fchmod(&root, Mode::from(0o755)).map_err(io::Error::from).map_err(fail("chmod"))?;
            }
            return Ok(Staging { path, root, name });
        }
    }

    pub(super) fn unstage(&self, parent: Option<&Digest>) {
        let Some(parent) = parent else { return };
        let mut state = self.state();
        if let Some(count) = state.staged_on.get_mut(parent) {
            *count -= 1;
            if *count == 0 {
                state.staged_on.remove(parent);
            }
        }
    }

    /// What a [`crate::StagedLayer`] does when it is dropped.
    pub fn discard(&self, staging: &Staging, parent: Option<&Digest>) -> crate::staged::Cleanup {
        let (stack, name, parent) = (self.clone(), staging.name.clone(), parent.cloned());
        Box::new(move |path| {
            stack.unstage(parent.as_ref());
            if let Err(error) = stack.shared.trees.remove(stack.tmp(), name.as_bytes()) {
                tracing::warn!(path = %path.display(), %error, "a discarded layer stays until the next start");
            }
        })
    }
}
