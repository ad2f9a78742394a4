//! What this crate's tests share: a store in a temporary directory, and archives to put into it.

use crate::{
    ContainerUse, Error, Image, ImageStore, LoadOptions, Loaded, Message, Progress, RegistryConfig, Removed,
    chain::digest_of, manifest::Descriptor,
};
use model::DataLayout;
use std::{
    future::Future,
    io::{Cursor, Read, Write},
    path::Path,
    sync::{Arc, Mutex},
};
use store::Store;

/// An image store that is gone with the value.
pub(crate) struct Lab {
    pub store: ImageStore,
    dir: tempfile::TempDir,
    driver: &'static str,
    registries: RegistryConfig,
}

impl Lab {
    pub fn new() -> Self {
        Self::with("vfs", RegistryConfig::default())
    }

    pub fn with(driver: &'static str, registries: RegistryConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), driver, &registries);
        Self { store, dir, driver, registries }
    }

    /// The same data, as a new engine finds it.
    pub fn reopen(self) -> Self {
        self.closed_during(|| {})
    }

    /// As [`Lab::reopen`], and while the store is closed somebody else has it.
    pub fn closed_during(self, other: impl FnOnce()) -> Self {
        let Self { store, dir, driver, registries } = self;
        drop(store);
        other();
        let store = open(dir.path(), driver, &registries);
        Self { store, dir, driver, registries }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn load(&self, archive: &[u8]) -> Result<Vec<Loaded>, Error> {
        load(&self.store, archive, &LoadOptions::default(), &Progress::none())
    }

    /// Loads an image of one layer with one file, named `name`, and gives it.
    pub fn sample(&self, name: &str, contents: &str) -> Arc<Image> {
        let archive = docker_archive(&[(&[layer(&[("file", contents)])], &[name])]);
        let loaded = self.load(&archive).unwrap();
        self.store.get(&loaded[0].image).unwrap()
    }

    pub fn remove(&self, image: &str, force: bool, uses: &[ContainerUse]) -> Result<Vec<String>, Error> {
        let options = crate::RemoveOptions { force, no_prune: false };
        self.store
            .remove(image, options, &|| uses.to_vec())
            .map(|removed| removed.iter().map(shown).collect())
    }

    /// A file of an image's tree.
    pub fn read_file(&self, image: &Image, path: &str) -> Option<String> {
        let rootfs = self.store.inner.driver.layer_rootfs(image.top_layer()?).unwrap();
        let dirs = match rootfs {
            model::Rootfs::Dir { path } => vec![path],
            model::Rootfs::Overlay { lower, .. } | model::Rootfs::FuseOverlay { lower, .. } => lower,
        };
        dirs.iter().find_map(|dir| std::fs::read_to_string(dir.join(path)).ok())
    }

    /// That nothing half-made is left: no temporary file, and no layer or content without a record.
    pub fn assert_tidy(&self) {
        let store = &self.store;
        assert_eq!(std::fs::read_dir(&store.inner.tmp).unwrap().count(), 0, "temporary files");
        let found = store.collect_garbage(&Vec::new).unwrap();
        assert_eq!(found.removed, Vec::new(), "layers that nobody needs");
        for dir in ["content/sha256", "content/framing"] {
            let names = std::fs::read_dir(self.root().join(dir)).unwrap().map(|e| e.unwrap().file_name());
            let odd: Vec<_> = names.filter(|n| n.to_string_lossy().ends_with(".tmp")).collect();
            assert!(odd.is_empty(), "{odd:?}");
        }
    }
}

pub(crate) fn open(root: &Path, driver: &str, registries: &RegistryConfig) -> ImageStore {
    let layout = DataLayout::new(root);
    let driver = snapshot::open(&layout, Some(driver)).unwrap().driver;
    let records = Store::open(layout.database()).unwrap();
    ImageStore::open(records, &layout, driver, registries.clone()).unwrap()
}

/// `untagged NAME`, `image`, `layer`: what a removal did, without digests.
fn shown(removed: &Removed) -> String {
    match removed {
        Removed::Untagged { reference, .. } => {
            format!("untagged {}", reference.split('@').next().unwrap_or_default())
        }
        Removed::Image(_) => "image".to_owned(),
        Removed::Layer(_) => "layer".to_owned(),
    }
}

/// Messages of a pull or load.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Message>>>);

impl Heard {
    pub fn progress(&self) -> Progress {
        let heard = self.0.clone();
        Progress::new(move |message| heard.lock().unwrap().push(message))
    }

    pub fn messages(&self) -> Vec<Message> {
        self.0.lock().unwrap().clone()
    }

    /// Each message's text, in order.
    pub fn texts(&self) -> Vec<String> {
        let heard = self.0.lock().unwrap();
        heard.iter().map(|m| m.stream.clone().or(m.status.clone()).unwrap_or_default()).collect()
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Loads, within a runtime or without one around.
pub(crate) fn load(
    store: &ImageStore,
    archive: impl Read + Send,
    options: &LoadOptions,
    progress: &Progress,
) -> Result<Vec<Loaded>, Error> {
    let load = || tokio::task::block_in_place(|| store.load_blocking(archive, options, progress));
    match tokio::runtime::Handle::try_current() {
        Ok(_) => load(),
        Err(_) => block_on(async { load() }),
    }
}

/// A plain layer archive of these files.
pub(crate) fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    tar(&files)
}

pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // The name as it is: the tests of hostile archives need `..` in it.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A configuration for these (plain) layers.
pub(crate) fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    config_for(&crate::Platform::host(), layers)
}

pub(crate) fn config_for(platform: &crate::Platform, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|l| digest_of(l)).collect();
    let json = serde_json::json!({
        "architecture": platform.architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], "Labels": {"made-by": "lab"}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": layers.iter().map(|_| serde_json::json!({"created_by": "lab"})).collect::<Vec<_>>(),
    });
    serde_json::to_vec(&json).unwrap()
}

/// Images as `docker save` writes them: layers and names of each.
pub(crate) fn docker_archive(images: &[(&[Vec<u8>], &[&str])]) -> Vec<u8> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut entries = Vec::new();
    for (layers, names) in images {
        let config = config(layers);
        let config_path = format!("{}.json", digest_of(&config).hex());
        let paths: Vec<_> = layers.iter().map(|l| format!("{}/layer.tar", digest_of(l).hex())).collect();
        files.extend(paths.iter().cloned().zip(layers.iter().cloned()));
        files.push((config_path.clone(), config));
        entries.push(serde_json::json!({"Config": config_path, "RepoTags": names, "Layers": paths}));
    }
    files.push(("manifest.json".to_owned(), serde_json::to_vec(&entries).unwrap()));
    let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    tar(&files)
}

/// A blob with the descriptor that leads to it.
pub(crate) fn blob(media_type: &str, bytes: &[u8]) -> (Descriptor, Vec<u8>) {
    (Descriptor::new(media_type, digest_of(bytes), bytes.len() as u64), bytes.to_vec())
}

/// Members of an archive, by name.
pub(crate) fn untar(archive: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(Cursor::new(archive));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    });
    entries.collect()
}

/// A container on an image.
pub(crate) fn container(image: &Image, running: bool) -> ContainerUse {
    let top_layer = image.top_layer().cloned().into();
    ContainerUse { id: model::Id::random(), image: image.id.clone(), top_layer, running }
}
