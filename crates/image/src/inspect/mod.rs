//! `docker image inspect` and `docker history`.

use crate::{Image, ImageStore, Reference, Result, catalog::Catalog, images::resolve};
use model::{Digest, Rootfs, Timestamp};
use std::{collections::HashMap, sync::Arc};

/// All that is known about an image; the engine puts it into the wire form.
#[derive(Debug, Clone)]
pub struct Inspect {
    pub image: Arc<Image>,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub last_tagged: Timestamp,
    /// The storage driver, and where it has the topmost layer (`GraphDriver`).
    pub driver: String,
    pub driver_data: Vec<(String, String)>,
}

/// One line of `docker history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The image that ended with this line, when it is known here; else `<missing>`.
    pub image: Option<Digest>,
    pub created: Timestamp,
    pub created_by: String,
    pub tags: Vec<String>,
    /// Bytes of the layer; zero for a line without one.
    pub size: u64,
    pub comment: String,
}

impl ImageStore {
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn inspect(&self, image: &str) -> Result<Inspect> {
        let (image, names) = {
            let catalog = self.catalog();
            let image = resolve(&catalog, image)?;
            let names = catalog.names_of(&image.id);
            (image, names)
        };
        let driver = &self.inner.driver;
        let rootfs = image.top_layer().map(|chain| driver.layer_rootfs(chain)).transpose()?;
        let (digests, tags): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.digest().is_some());
        let familiar = |names: Vec<&Reference>| names.into_iter().map(Reference::familiar).collect();
        Ok(Inspect {
            repo_tags: familiar(tags),
            repo_digests: familiar(digests),
            last_tagged: image.record.last_tagged,
            driver: driver.name().to_owned(),
            driver_data: rootfs.map(driver_data).unwrap_or_default(),
            image,
        })
    }

    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn history(&self, image: &str) -> Result<Vec<HistoryLine>> {
        let catalog = self.catalog();
        let image = resolve(&catalog, image)?;
        Ok(history(&catalog, &image))
    }
}

/// Docker's keys: the topmost layer is "upper", the rest "lower".
fn driver_data(rootfs: Rootfs) -> Vec<(String, String)> {
    let (Rootfs::Overlay { lower, .. } | Rootfs::FuseOverlay { lower, .. }) = rootfs else {
        return Vec::new();
    };
    let text = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(":")
    };
    let mut data = Vec::new();
    if let Some((top, below)) = lower.split_first() {
        if !below.is_empty() {
            data.push(("LowerDir".to_owned(), text(below)));
        }
        data.push(("UpperDir".to_owned(), top.display().to_string()));
    }
    data
}

fn history(catalog: &Catalog, image: &Image) -> Vec<HistoryLine> {
    let known = images_by_length(catalog, image);
    let mut layers = image.layers.iter();
    let mut lines = Vec::new();
    for (index, entry) in image.config.history.iter().enumerate() {
        let layer =
            if entry.empty_layer { None } else { layers.next().and_then(|chain| catalog.layers.get(chain)) };
        let ended = known.get(&(index + 1));
        let names = ended.map(|image| catalog.names_of(image)).unwrap_or_default();
        lines.push(HistoryLine {
            image: ended.cloned(),
            created: entry.created.as_deref().and_then(|t| t.parse().ok()).unwrap_or_default(),
            created_by: entry.created_by.clone(),
            tags: names.iter().filter(|name| name.tag().is_some()).map(Reference::familiar).collect(),
            size: layer.map_or(0, |layer| layer.size),
            comment: entry.comment.clone(),
        });
    }
    lines.reverse();
    lines
}

/// The image and its ancestors that are here, by the length of their histories.
fn images_by_length(catalog: &Catalog, image: &Image) -> HashMap<usize, Digest> {
    let mut known = HashMap::new();
    let mut next = Some(image);
    while let Some(image) = next {
        if known.insert(image.config.history.len(), image.id.clone()).is_some() {
            break; // An ancestor that is no shorter than its child: records made by hand.
        }
        next = image.record.parent.as_ref().and_then(|id| catalog.images.get(id)).map(|image| &**image);
    }
    known
}

#[cfg(test)]
mod tests;
