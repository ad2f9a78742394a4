//! `docker rmi`: what may be removed, in Docker's words.
//!
//! # Theory of operation
//! The decision needs to know which containers use the image, and asking the engine must not happen under the
//! catalog's lock: the engine may look images up under locks of its own. So the engine is asked first, and if a pin was
//! taken or released meanwhile (a container was being created), the question is asked again.
//!
//! Records go first, in one change; then, unlocked, the layers that nothing needs any more.

use crate::{Error, Image, ImageStore, Reference, Result, catalog::Catalog, images::resolve};
use model::Digest;
use std::{collections::BTreeSet, sync::Arc};

/// A container that uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUse {
    pub id: model::Id,
    pub image: Digest,
    /// The layer its tree stands on, or that it has mounted; it is kept even when the image goes.
    pub top_layer: TopLayer,
    pub running: bool,
}

/// The topmost layer of what a container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopLayer {
    /// There is none: the image has no layers.
    Nothing,
    Layer(Digest),
    /// There may be one, and nobody knows which.
    Unknown,
}

impl TopLayer {
    pub fn layer(&self) -> Option<&Digest> {
        match self {
            Self::Layer(top) => Some(top),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

impl From<Option<Digest>> for TopLayer {
    /// Of what is known.
    fn from(layer: Option<Digest>) -> Self {
        layer.map_or(Self::Nothing, Self::Layer)
    }
}

/// Asks the engine which containers there are.
pub type Containers<'a> = &'a dyn Fn() -> Vec<ContainerUse>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveOptions {
    pub force: bool,
    /// Keep parents that lose their last child (`noprune=1`).
    pub no_prune: bool,
}

/// One line of the answer; the engine also makes an event of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// The reference, familiar, that names an image no more.
    Untagged { reference: String, image: Digest },
    /// An image that is gone.
    Image(Digest),
    /// A layer that is gone, by chain ID.
    Layer(Digest),
}

/// Why an image stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error(
        "conflict: unable to remove repository reference {reference:?} (must force) - container {container} is using its referenced image {image}"
    )]
    ReferenceInUse { reference: String, container: String, image: String },
    #[error("conflict: unable to delete {image} (cannot be forced) - image has dependent child images")]
    Children { image: String },
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by running container {container}"
    )]
    Running { image: String, container: String },
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by an operation in progress"
    )]
    Pinned { image: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories"
    )]
    Referenced { image: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is being used by stopped container {container}"
    )]
    Stopped { image: String, container: String },
}

impl ImageStore {
    /// Removes a name, and the image when that was its last; or an image by ID.
    ///
    /// `containers` may be asked several times, and without any lock held.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::Conflict`].
    pub fn remove(
        &self,
        image: &str,
        options: RemoveOptions,
        containers: Containers<'_>,
    ) -> Result<Vec<Removed>> {
        self.removing(containers, |plan| plan.by_text(image, options))
    }

    /// Plans with a true picture of the containers, carries out, and collects what became garbage.
    pub(crate) fn removing(
        &self,
        containers: Containers<'_>,
        decide: impl Fn(&mut Plan<'_>) -> Result<()>,
    ) -> Result<Vec<Removed>> {
        loop {
            let before = self.catalog().pin_changes;
            let uses = containers();
            let mut catalog = self.catalog();
            if catalog.pin_changes != before {
                continue;
            }
            let mut plan = Plan {
                catalog: &catalog,
                uses: &uses,
                names: Vec::new(),
                images: Vec::new(),
                steps: Vec::new(),
            };
            decide(&mut plan)?;
            let Plan { names, images, steps, .. } = plan;
            self.forget(&mut catalog, &names, &images)?;
            drop(catalog);
            return self.sweep(steps, &images, containers);
        }
    }

    /// Removes the records.
    fn forget(&self, catalog: &mut Catalog, names: &[Reference], images: &[Arc<Image>]) -> Result<()> {
        let records = &self.inner.records;
        records.store.batch::<_, Error>(|batch| {
            for name in names {
                batch.delete(&records.names, &records.key(name))?;
            }
            for image in images {
                batch.delete(&records.images, &records.key(&image.id))?;
            }
            Ok(())
        })?;
        for name in names {
            catalog.names.remove(name);
        }
        for image in images {
            catalog.images.remove(&image.id);
        }
        Ok(())
    }

    /// Removes the layers and content of images that are gone, and lists them behind their image.
    fn sweep(
        &self,
        steps: Vec<Removed>,
        images: &[Arc<Image>],
        containers: Containers<'_>,
    ) -> Result<Vec<Removed>> {
        let mut done = Vec::new();
        for step in steps {
            let gone = match &step {
                Removed::Image(id) => images.iter().find(|image| image.id == *id).cloned(),
                _ => None,
            };
            done.push(step);
            if let Some(image) = gone {
                let layers = self.remove_layers(image.layers.iter().rev(), containers)?;
                done.extend(layers.into_iter().map(|(chain, _)| Removed::Layer(chain)));
                self.remove_content(&image.parts())?;
            }
        }
        Ok(done)
    }
}

/// What is to be removed, so far; every question is answered as if it were gone already.
pub(crate) struct Plan<'a> {
    pub catalog: &'a Catalog,
    pub uses: &'a [ContainerUse],
    names: Vec<Reference>,
    images: Vec<Arc<Image>>,
    steps: Vec<Removed>,
}

impl Plan<'_> {
    fn by_text(&mut self, text: &str, options: RemoveOptions) -> Result<()> {
        let image = resolve(self.catalog, text)?;
        let is_id = [image.id.as_str(), image.id.hex()].iter().any(|id| id.starts_with(text));
        if is_id { self.by_id(&image, options) } else { self.by_name(&image, text, options) }
    }

    /// An ID removes the image with its names, as long as they are all of one repository.
    fn by_id(&mut self, image: &Arc<Image>, options: RemoveOptions) -> Result<()> {
        let names = self.names_of(image);
        if is_one_repository(&names) {
            self.check(image, options.force, false)?;
            self.untag(image, names);
        }
        self.image(image, options.force, options.no_prune)
    }

    fn by_name(&mut self, image: &Arc<Image>, text: &str, options: RemoveOptions) -> Result<()> {
        if !options.force
            && is_one_repository(&self.names_of(image))
            && let Some(container) = self.uses.iter().find(|c| c.image == image.id)
        {
            let (container, image) = (container.id.short().to_owned(), image.id.short().to_owned());
            return Err(Conflict::ReferenceInUse { reference: text.to_owned(), container, image }.into());
        }
        let name = Reference::parse(text)?;
        let name = if name.digest().is_some() { name.without_tag() } else { name.or_latest() };
        self.untag(image, vec![name.clone()]);
        // The last tag of a repository takes that repository's digests along.
        let left = self.names_of(image);
        let same: Vec<_> = left.into_iter().filter(|other| other.trim() == name.trim()).collect();
        if name.digest().is_none() && same.iter().all(|other| other.digest().is_some()) {
            self.untag(image, same);
        }
        if !self.names_of(image).is_empty() {
            return Ok(());
        }
        match self.image(image, options.force, options.no_prune) {
            // The name is gone, as asked; that the image stays for somebody's sake is no failure.
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// Removes an image with whatever names it has, then its parents while nothing needs them.
    pub fn image(&mut self, image: &Arc<Image>, force: bool, no_prune: bool) -> Result<()> {
        self.check(image, force, true)?;
        let names = self.names_of(image);
        self.untag(image, names);
        self.images.push(image.clone());
        self.steps.push(Removed::Image(image.id.clone()));
        let parent = image.record.parent.as_ref().and_then(|id| self.catalog.images.get(id)).cloned();
        if let Some(parent) = parent.filter(|_| !no_prune)
            && self.check(&parent, false, true).is_ok()
        {
            self.image(&parent, false, false)?;
        }
        Ok(())
    }

    /// Whether the image is among those that go.
    pub fn is_planned(&self, id: &Digest) -> bool {
        self.images.iter().any(|gone| gone.id == *id)
    }

    fn untag(&mut self, image: &Image, names: Vec<Reference>) {
        for name in names {
            self.steps.push(Removed::Untagged { reference: name.familiar(), image: image.id.clone() });
            self.names.push(name);
        }
    }

    fn names_of(&self, image: &Image) -> Vec<Reference> {
        let gone: BTreeSet<_> = self.names.iter().collect();
        self.catalog.names_of(&image.id).into_iter().filter(|name| !gone.contains(name)).collect()
    }

    /// Why the image must stay, hard reasons first.
    pub fn check(&self, image: &Image, force: bool, with_names: bool) -> Result<(), Conflict> {
        let short = || image.id.short().to_owned();
        if self.catalog.children(&image.id).any(|child| !self.is_planned(child)) {
            return Err(Conflict::Children { image: short() });
        }
        let user = |running| self.uses.iter().find(|c| c.image == image.id && c.running == running);
        if let Some(container) = user(true) {
            return Err(Conflict::Running { image: short(), container: container.id.short().to_owned() });
        }
        if self.catalog.is_pinned(&image.id) {
            return Err(Conflict::Pinned { image: short() });
        }
        if force {
            return Ok(());
        }
        if with_names && !self.names_of(image).is_empty() {
            return Err(Conflict::Referenced { image: short() });
        }
        match user(false) {
            Some(container) => {
                Err(Conflict::Stopped { image: short(), container: container.id.short().to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// At most one tag, and any digests of that same repository.
fn is_one_repository(names: &[Reference]) -> bool {
    let repositories: BTreeSet<_> = names.iter().map(Reference::trim).collect();
    repositories.len() == 1 && names.iter().filter(|name| name.tag().is_some()).count() <= 1
}

#[cfg(test)]
mod tests;
