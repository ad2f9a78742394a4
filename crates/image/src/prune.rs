//! Removing what nobody uses: layers, content, images.

use crate::{
    ContainerUse, ImageStore, ListFilter, Pin, Removed, Result, catalog::Catalog, list, remove::Containers,
};
use model::Digest;
use std::{collections::BTreeSet, sync::MutexGuard};

/// What went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    pub removed: Vec<Removed>,
    /// Bytes of the layers that went.
    pub reclaimed: u64,
}

impl ImageStore {
    /// `docker image prune`: images without name and without use; with the filter `dangling=false` named ones too.
    /// Other filters: `label`, `label!`, `until`.
    pub fn prune(&self, filter: &ListFilter, containers: Containers<'_>) -> Result<Pruned> {
        // Dangling images whose children are named cannot go; `all` shows those whose children go too.
        let only_dangling = filter.dangling.unwrap_or(true);
        let filter = ListFilter { all: true, dangling: only_dangling.then_some(true), ..filter.clone() };
        let size_before = self.layers_size();
        let removed = self.removing(containers, |plan| {
            let candidates = list::select(plan.catalog, &filter)?;
            for summary in &candidates {
                let is_used = plan.uses.iter().any(|c| c.image == summary.image.id);
                let is_gone = plan.is_planned(&summary.image.id);
                if !is_used && !is_gone && plan.check(&summary.image, true, false).is_ok() {
                    plan.image(&summary.image, true, false)?;
                }
            }
            Ok(())
        })?;
        Ok(Pruned { removed, reclaimed: size_before.saturating_sub(self.layers_size()) })
    }

    /// Removes layers and content that neither an image, nor a container, nor an operation in progress needs. To be
    /// called once the engine knows its containers; removal calls its parts by itself.
    pub fn collect_garbage(&self, containers: Containers<'_>) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        // Each round frees the layers below those of the round before.
        loop {
            let gone = self.remove_layers(self.inner.driver.layers().iter(), containers)?;
            if gone.is_empty() {
                break;
            }
            pruned.reclaimed += gone.iter().map(|(_, bytes)| bytes).sum::<u64>();
            pruned.removed.extend(gone.into_iter().map(|(chain, _)| Removed::Layer(chain)));
        }
        let content = self.inner.content.list()?;
        self.remove_content(&content)?;
        let kept: BTreeSet<_> = self.catalog().layers.values().map(|layer| layer.diff_id.clone()).collect();
        for diff_id in self.inner.framing.list()?.iter().filter(|d| !kept.contains(d)) {
            self.remove_framing(diff_id)?;
        }
        Ok(pruned)
    }

    /// Removes those of the layers that nothing needs, with the bytes each had. A layer that somebody is making or
    /// removing right now is left to them.
    pub(crate) fn remove_layers<'a>(
        &self,
        candidates: impl Iterator<Item = &'a Digest>,
        containers: Containers<'_>,
    ) -> Result<Vec<(Digest, u64)>> {
        let mut gone = Vec::new();
        for chain in candidates {
            let Some(_claim) = self.inner.claims.try_take(chain) else { continue };
            if !self.inner.driver.layer_exists(chain) {
                continue;
            }
            let Some(mut catalog) = self.unneeded(chain, containers) else { continue };
            // In the same moment: from now on nobody can pin it as a layer that there is.
            let record = catalog.layers.remove(chain);
            drop(catalog);
            let records = &self.inner.records;
            records.layers.delete(&records.key(chain))?;
            if let Err(error) = self.inner.driver.remove_layer(chain) {
                // Something stands on it that the records do not know: a tree whose container is just being made, or
                // that a crash left. The next collection tries again.
                tracing::warn!(%chain, %error, "layer stays");
                record.map_or(Ok(()), |record| self.add_layer(chain, record))?;
                continue;
            }
            gone.push((chain.clone(), record.as_ref().map_or(0, |r| r.size)));
            if let Some(record) = record {
                self.remove_framing(&record.diff_id)?;
            }
        }
        Ok(gone)
    }

    /// Keeps a layer, with those below it, from being removed: what a container had mounted, for another one. None when
    /// one of them is gone, as when that container was removed this moment and was the last to need them.
    pub fn pin_layers(&self, top: Option<&Digest>) -> Option<Pin> {
        let keys = top.map(|top| self.stack(top)).unwrap_or_default();
        let mut catalog = self.catalog();
        if !keys.iter().all(|chain| catalog.layers.contains_key(chain)) {
            return None;
        }
        catalog.pin(&keys);
        Some(self.pinned(keys))
    }

    /// Removes a layer, and those below it, that a container was the last to need.
    pub fn release_layers(&self, top: &Digest, containers: Containers<'_>) -> Result<()> {
        self.remove_layers(self.stack(top).iter(), containers).map(drop)
    }

    /// A layer with all those below it, topmost first.
    pub(crate) fn stack(&self, top: &Digest) -> Vec<Digest> {
        let parent = |of: &Digest| self.inner.driver.layer_parent(of).ok().flatten();
        std::iter::successors(Some(top.clone()), parent).collect()
    }

    /// The catalog, locked, when nothing needs the layer: as it is now, not as it was when somebody began to look. A layer
    /// that is only mounted in a container has no other protection than this.
    fn unneeded(&self, chain: &Digest, containers: Containers<'_>) -> Option<MutexGuard<'_, Catalog>> {
        loop {
            let before = {
                let catalog = self.catalog();
                if is_held(&catalog, chain) {
                    return None;
                }
                catalog.pin_changes
            };
            let in_use = |used: &ContainerUse| {
                used.top_layer.layer().is_some_and(|top| self.stack(top).contains(chain))
            };
            if containers().iter().any(in_use) {
                return None;
            }
            let catalog = self.catalog();
            // A pin that came or went meanwhile may have become, or been, a container that was not asked.
            if catalog.pin_changes == before {
                return (!is_held(&catalog, chain)).then_some(catalog);
            }
        }
    }

    /// Removes those configurations and manifests that no image names.
    pub(crate) fn remove_content(&self, candidates: &[Digest]) -> Result<()> {
        let catalog = self.catalog();
        let needed: BTreeSet<Digest> = catalog.images.values().flat_map(|image| image.parts()).collect();
        for digest in candidates.iter().filter(|d| !needed.contains(d) && !catalog.is_pinned(d)) {
            self.inner.content.remove(digest)?;
        }
        Ok(())
    }

    /// Two layers of different stacks may have the same archive, and one of them may be in the making.
    fn remove_framing(&self, diff_id: &Digest) -> Result<()> {
        let catalog = self.catalog();
        if catalog.is_pinned(diff_id) || catalog.layers.values().any(|layer| layer.diff_id == *diff_id) {
            return Ok(());
        }
        self.inner.framing.remove(diff_id)
    }
}

/// By an image, or by something in progress.
fn is_held(catalog: &Catalog, chain: &Digest) -> bool {
    catalog.is_pinned(chain) || catalog.images.values().any(|image| image.layers.contains(chain))
}
