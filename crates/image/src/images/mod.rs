//! The image store: what there is, and under which names.

use crate::{
    Error, ImageConfig, Platform, Reference, RegistryConfig, Result,
    catalog::Catalog,
    claims::Claims,
    content::Content,
    records::{ImageRecord, LayerRecord, NameRecord},
    reference,
    registry::Registries,
};
use model::{DataLayout, Digest, Timestamp};
use snapshot::Driver;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use store::{Collection, Store};
use tokio::sync::Semaphore;

/// An image that is here, with all of its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub id: Digest,
    pub config: ImageConfig,
    /// Bytes of the configuration.
    pub config_size: u64,
    /// Chain IDs, lowest first.
    pub layers: Vec<Digest>,
    pub record: ImageRecord,
}

impl Image {
    /// The layer a container's tree stands on.
    pub fn top_layer(&self) -> Option<&Digest> {
        self.layers.last()
    }

    /// What it runs on. One that does not say so is taken for the host's, as Docker does.
    pub fn platform(&self) -> Platform {
        let (said, host) = (self.config.platform(), Platform::host());
        let or = |text: String, default: String| if text.is_empty() { default } else { text };
        Platform { os: or(said.os, host.os), architecture: or(said.architecture, host.architecture), ..said }
    }

    /// What must stay for the image to stay whole.
    pub(crate) fn parts(&self) -> Vec<Digest> {
        let documents = [&self.record.manifest, &self.record.index].map(|d| d.as_ref().map(|d| &d.digest));
        let content = [Some(&self.id), documents[0], documents[1]];
        content.into_iter().flatten().chain(&self.layers).cloned().collect()
    }
}

/// Every image of one engine; clones share it.
#[derive(Clone)]
pub struct ImageStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub driver: Arc<dyn Driver>,
    pub content: Content,
    pub framing: crate::framing::Framings,
    pub records: Records,
    /// For archives that must be read twice; emptied when the engine starts.
    pub tmp: PathBuf,
    registries: RwLock<Arc<Registries>>,
    pub claims: Claims,
    /// One permit a layer that a pull or load unpacks: as many as there are cores.
    pub unpacking: Arc<Semaphore>,
    catalog: Mutex<Catalog>,
}

/// The collections. Keys begin with the storage driver's name, since each driver has its own layers.
pub(crate) struct Records {
    pub store: Store,
    pub images: Collection<ImageRecord>,
    pub names: Collection<NameRecord>,
    pub layers: Collection<LayerRecord>,
    prefix: String,
}

impl Records {
    fn new(store: Store, driver: &str) -> Self {
        Self {
            images: store.collection("images"),
            names: store.collection("image-names"),
            layers: store.collection("layers"),
            store,
            prefix: format!("{driver}/"),
        }
    }

    pub fn key(&self, of: impl std::fmt::Display) -> String {
        format!("{}{of}", self.prefix)
    }
}

/// Keeps an image, and what it is made of, from being removed while something is made from it.
#[must_use = "the image is protected only as long as the pin lives"]
pub struct Pin {
    store: ImageStore,
    keys: Vec<Digest>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.store.catalog().unpin(&self.keys);
    }
}

impl Inner {
    pub fn registries(&self) -> Arc<Registries> {
        self.registries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ImageStore {
    /// Opens the records below `layout`. An image whose layers or configuration are gone (a power loss, a hand in the
    /// data root) is reported in the log and dropped; the rest opens.
    pub fn open(
        store: Store,
        layout: &DataLayout,
        driver: Arc<dyn Driver>,
        registries: RegistryConfig,
    ) -> Result<Self> {
        let tmp = layout.tmp().join("image");
        reset_directory(&tmp)?;
        let records = Records::new(store, driver.name());
        let content = Content::open(&layout.content())?;
        let catalog = crate::open::read(&records, &content, &*driver)?;
        let inner = Inner {
            framing: crate::framing::Framings::open(&layout.content())?,
            registries: RwLock::new(Arc::new(Registries::new(registries))),
            claims: Claims::default(),
            unpacking: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))),
            catalog: Mutex::new(catalog),
            driver,
            content,
            records,
            tmp,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        // Changes are applied after all that can fail or panic, so a poisoned catalog is still a whole one.
        self.inner.catalog.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What a user calls an image: a name, a name with digest, an ID, or a prefix of an ID; in Docker's order.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::Ambiguous`], [`Error::Reference`].
    pub fn resolve(&self, text: &str) -> Result<Arc<Image>> {
        resolve(&self.catalog(), text)
    }

    /// As [`ImageStore::resolve`], and nothing can remove the image until the pin is dropped: for creating a
    /// container, whose record takes over as protector.
    pub fn resolve_pinned(&self, text: &str) -> Result<(Arc<Image>, Pin)> {
        let mut catalog = self.catalog();
        let image = resolve(&catalog, text)?;
        let keys = image.parts();
        catalog.pin(&keys);
        Ok((image, Pin { store: self.clone(), keys }))
    }

    /// A pin on what the caller has pinned in the catalog, whose lock it holds.
    pub(crate) fn pinned(&self, keys: Vec<Digest>) -> Pin {
        Pin { store: self.clone(), keys }
    }

    /// Pins layers and content before they exist.
    pub(crate) fn pin(&self, keys: Vec<Digest>) -> Pin {
        self.catalog().pin(&keys);
        Pin { store: self.clone(), keys }
    }

    /// An image by its whole ID.
    pub fn get(&self, id: &Digest) -> Option<Arc<Image>> {
        self.catalog().images.get(id).cloned()
    }

    /// How registries are reached (`docker info`).
    pub fn registries(&self) -> RegistryConfig {
        self.inner.registries().config.clone()
    }

    /// Reaches them otherwise from now on; what is under way goes on as it began.
    pub fn set_registries(&self, config: RegistryConfig) {
        let registries = Arc::new(Registries::new(config));
        *self.inner.registries.write().unwrap_or_else(PoisonError::into_inner) = registries;
    }

    /// How many images there are (`docker info`).
    pub fn count(&self) -> usize {
        self.catalog().images.len()
    }

    /// The configuration of an image, byte for byte.
    pub fn config_bytes(&self, id: &Digest) -> Result<Vec<u8>> {
        self.inner.content.get(id)
    }

    /// Names of an image: tags, then repository digests, each sorted.
    pub fn names(&self, image: &Digest) -> Vec<Reference> {
        self.catalog().names_of(image)
    }

    /// Gives `source` another name, which is taken from any other image that had it. Returns the image.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::TagWithDigest`], [`Error::TagIsAlgorithm`].
    pub fn tag(&self, source: &str, target: &Reference) -> Result<Digest> {
        if target.digest().is_some() {
            return Err(Error::TagWithDigest);
        }
        if target.familiar_name() == "sha256" {
            return Err(Error::TagIsAlgorithm);
        }
        let mut catalog = self.catalog();
        let image = resolve(&catalog, source)?;
        self.give_names(&mut catalog, &image.id, &[target.clone().or_latest()])?;
        Ok(image.id.clone())
    }

    /// Records names of an image that is in the catalog.
    pub(crate) fn give_names(&self, catalog: &mut Catalog, id: &Digest, names: &[Reference]) -> Result<()> {
        let Some(image) = catalog.images.get(id) else {
            return Err(Error::NoSuchImage { familiar: id.to_string() });
        };
        let record = ImageRecord { last_tagged: Timestamp::now(), ..image.record.clone() };
        let records = &self.inner.records;
        records.store.batch::<_, Error>(|batch| {
            batch.put(&records.images, &records.key(id), &record)?;
            for name in names {
                batch.put(&records.names, &records.key(name), &NameRecord { image: id.clone() })?;
            }
            Ok(())
        })?;
        let tagged = Arc::new(Image { record, ..Image::clone(image) });
        catalog.images.insert(id.clone(), tagged);
        catalog.names.extend(names.iter().map(|name| (name.clone(), id.clone())));
        Ok(())
    }
}

/// An empty directory at `path`, whatever was there.
fn reset_directory(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::file("remove", path)(e)),
        _ => {}
    }
    std::fs::create_dir_all(path).map_err(Error::file("mkdir", path))
}

/// Docker's order: a whole ID, a name, `NAME:ID-PREFIX` is not offered (it is deprecated there), then an ID prefix.
pub(crate) fn resolve(catalog: &Catalog, text: &str) -> Result<Arc<Image>> {
    let no_such = |familiar: String| Error::NoSuchImage { familiar };
    let whole = if reference::is_identifier(text) { format!("sha256:{text}") } else { text.to_owned() };
    if let Ok(id) = whole.parse::<Digest>() {
        return catalog.images.get(&id).cloned().ok_or_else(|| no_such(id.to_string()));
    }
    let name = Reference::parse(text)?;
    // A digest decides alone: the tag beside it is for people.
    let key = if name.digest().is_some() { name.without_tag() } else { name.clone().or_latest() };
    if let Some(image) = catalog.names.get(&key).and_then(|id| catalog.images.get(id)) {
        return Ok(image.clone());
    }
    let mut found = catalog.by_prefix(text);
    match found.len() {
        0 => Err(no_such(name.or_latest().familiar())),
        1 => Ok(found.remove(0)),
        count => Err(Error::Ambiguous { prefix: text.to_owned(), count }),
    }
}

#[cfg(test)]
mod tests;
