use crate::{
    Progress, PullRequest, Pulled, RegistryConfig,
    lab::{Heard, Lab, block_on, docker_archive, layer, untar},
    manifest::{Descriptor, Index, OCI_INDEX},
    pull::lab::{Form, Registry},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

fn inside(name: &str, test: impl AsyncFnOnce()) {
    testing::in_userns(&format!("load::store::tests::{name}"), || {
        sys::loopback::up().unwrap();
        block_on(test());
    });
}

/// A store with images of these names, as `docker save … | tar -x` makes it.
fn share(dir: &Path, names: &[&str]) {
    let lab = Lab::new();
    for name in names {
        lab.load(&docker_archive(&[(&[layer(&[("name", name)])], &[name])])).unwrap();
    }
    let archive = tokio::task::block_in_place(|| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        tokio::runtime::Handle::current().block_on(async {
            let mut stream = lab.store.save(&names, None).await.unwrap();
            let mut archive = Vec::new();
            while let Some(piece) = stream.recv().await {
                archive.extend(piece.unwrap());
            }
            archive
        })
    });
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    for (name, bytes) in untar(&archive).into_iter().filter(|(name, _)| !name.ends_with('/')) {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

/// A user's own store, who is told of the shared one.
fn user(store: &Path) -> Lab {
    Lab::with("vfs", RegistryConfig { stores: vec![store.to_owned()], ..RegistryConfig::default() })
}

fn request(name: &str) -> PullRequest {
    PullRequest { reference: name.parse().unwrap(), all_tags: false, platform: None, auth: None }
}

async fn pull(lab: &Lab, name: &str) -> (Result<Vec<Pulled>, String>, Vec<String>) {
    let heard = Heard::default();
    let pulled = lab.store.pull(request(name), heard.progress()).await.map_err(|e| e.to_string());
    (pulled, heard.texts())
}

fn index(dir: &Path) -> Index {
    serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap()
}

#[test]
fn what_is_shared_needs_no_registry() {
    inside("what_is_shared_needs_no_registry", async || {
        let shared = tempfile::tempdir().unwrap();
        share(shared.path(), &["app:v1", "other:v1"]);
        let lab = user(shared.path());
        let (pulled, texts) = pull(&lab, "app:v1").await;
        let pulled = pulled.unwrap().remove(0);
        assert_eq!(texts[0], format!("Found in image store {}", shared.path().display()));
        let end =
            [format!("Digest: {}", pulled.digest), "Status: Downloaded newer image for app:v1".to_owned()];
        assert_eq!(texts[texts.len() - 2..], end);
        let image = lab.store.resolve("app:v1").unwrap();
        assert_eq!(lab.read_file(&image, "name").as_deref(), Some("app:v1"));
        assert_eq!(
            lab.store.names(&image.id),
            ["app:v1".parse().unwrap()],
            "no registry's digest is made up"
        );
        let (_, again) = pull(&lab, "app:v1").await;
        assert_eq!(again.last().unwrap(), "Status: Image is up to date for app:v1");

        let other = index(shared.path()).manifests[1].digest.clone();
        let by_digest = format!("registry.example/other@{other}");
        assert_eq!(pull(&lab, &by_digest).await.0.unwrap()[0].digest, other);
        let image = lab.store.resolve(&by_digest).unwrap();
        assert_eq!(lab.read_file(&image, "name").as_deref(), Some("other:v1"));
        let (absent, texts) = pull(&lab, "127.0.0.1:1/app:v1").await;
        assert!(absent.unwrap_err().contains("connection refused"));
        assert_eq!(texts, [""; 0], "a name of another registry");
        lab.assert_tidy();
    });
}

#[test]
fn an_index_gives_the_platform() {
    inside("an_index_gives_the_platform", async || {
        let shared = tempfile::tempdir().unwrap();
        share(shared.path(), &["app:v1"]);
        let mut top = index(shared.path());
        let mut mine = top.manifests.remove(0);
        mine.platform = Some(crate::Platform::host());
        let annotations = std::mem::take(&mut mine.annotations);
        let other = Descriptor {
            digest: crate::chain::digest_of(b"not here"),
            platform: Some("linux/s390x".parse().unwrap()),
            ..mine.clone()
        };
        let inner = Index {
            schema_version: 2,
            media_type: OCI_INDEX.into(),
            manifests: vec![other, mine],
            annotations: BTreeMap::new(),
        };
        let (mut descriptor, bytes) = crate::lab::blob(OCI_INDEX, &serde_json::to_vec(&inner).unwrap());
        descriptor.annotations = annotations;
        fs::write(shared.path().join("blobs/sha256").join(descriptor.digest.hex()), bytes).unwrap();
        top.manifests.push(descriptor.clone());
        fs::write(shared.path().join("index.json"), serde_json::to_vec(&top).unwrap()).unwrap();

        let lab = user(shared.path());
        let pulled = pull(&lab, "app:v1").await.0.unwrap();
        assert_eq!(pulled[0].digest, descriptor.digest);
        let image = lab.store.get(&pulled[0].image).unwrap();
        assert_eq!(image.record.index.as_ref().map(|i| &i.digest), Some(&descriptor.digest));
        let elsewhere =
            PullRequest { platform: Some("linux/riscv64".parse().unwrap()), ..request("127.0.0.1:1/app:v1") };
        let error = lab.store.pull(elsewhere, Progress::none()).await.unwrap_err().to_string();
        assert!(error.contains("connection refused"), "{error}");
    });
}

/// Ways to spoil a store, and what is said of it.
type Spoil = (&'static str, fn(&Path), &'static str);

const SPOILED: &[Spoil] = &[
    ("gone", |dir| fs::remove_dir_all(dir).unwrap(), "stat "),
    ("no index", |dir| fs::remove_file(dir.join("index.json")).unwrap(), "stat "),
    ("an index that is a pipe", |dir| pipe(&dir.join("index.json")), "index.json is no regular file"),
    (
        "an index that is endless",
        |dir| endless(&dir.join("index.json")),
        "index.json is larger than 8388608 bytes",
    ),
    ("an index of everybody's", |dir| mode(&dir.join("index.json"), 0o666), "may be written by everybody"),
    ("a directory of everybody's", |dir| mode(dir, 0o777), "may be written by everybody"),
    ("no JSON", |dir| fs::write(dir.join("index.json"), "{").unwrap(), "index.json: "),
    ("a manifest that lies", |dir| flip(&manifest(dir)), "has digest sha256:"),
    ("a manifest that is a link", |dir| linked(&manifest(dir)), "too many levels of symbolic links"),
    ("a layer that lies", |dir| flip(&largest(dir)), "does not have the digest it was asked for"),
    ("a layer that is a pipe", |dir| pipe(&largest(dir)), "is no regular file"),
];

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn pipe(path: &Path) {
    fs::remove_file(path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
}

fn endless(path: &Path) {
    fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
}

fn linked(path: &Path) {
    let elsewhere = path.with_extension("elsewhere");
    fs::rename(path, &elsewhere).unwrap();
    symlink(elsewhere, path).unwrap();
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

fn manifest(dir: &Path) -> PathBuf {
    dir.join("blobs/sha256").join(index(dir).manifests[0].digest.hex())
}

/// The layer is the only blob of some size.
fn largest(dir: &Path) -> PathBuf {
    let blobs = fs::read_dir(dir.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    blobs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

#[test]
fn a_spoiled_store_is_told_of_and_the_registry_asked() {
    inside("a_spoiled_store_is_told_of_and_the_registry_asked", async || {
        let registry = Registry::start();
        let name = format!("{}/app:v1", registry.host);
        registry.put_image("app", "v1", &[(layer(&[("name", "registry's")]), Form::Gzip)], false).await;
        for (what, spoil, says) in SPOILED {
            let parent = tempfile::tempdir().unwrap();
            let shared = parent.path().join("shared");
            fs::create_dir(&shared).unwrap();
            share(&shared, &[&name]);
            spoil(&shared);
            let lab = user(&shared);
            let (pulled, texts) = pull(&lab, &name).await;
            let told: Vec<_> = texts.iter().filter(|text| text.contains("is passed over: ")).collect();
            assert!(told.len() == 1 && told[0].contains(says), "{what}: {texts:?}");
            let image = lab.store.get(&pulled.unwrap()[0].image).unwrap();
            assert_eq!(lab.read_file(&image, "name").as_deref(), Some("registry's"), "{what}");
            lab.assert_tidy();
        }
    });
}

/// The store knows another name and has the layer; the registry knows the name. `spoil` is given the layer's file.
async fn pull_beside(spoil: impl Fn(&Path)) -> (Lab, Vec<String>, bool) {
    let shared = tempfile::tempdir().unwrap();
    share(shared.path(), &["other:v1"]);
    let registry = Registry::start();
    let plain = layer(&[("name", "other:v1")]);
    let upper = layer(&[("upper", "registry's")]);
    registry.put_image("app", "v1", &[(plain.clone(), Form::Plain), (upper, Form::Gzip)], false).await;
    let file = largest(shared.path());
    assert_eq!(fs::read(&file).unwrap(), plain, "the layer as it was");
    // A registry that has lost the blob: whoever pulls the image all the same had it from elsewhere.
    let descriptor = crate::lab::blob(crate::manifest::OCI_LAYER, &plain).0;
    spoil(&file);
    let is_needed = fs::read(&file).is_ok_and(|bytes| bytes != plain);
    if !is_needed {
        fs::remove_file(registry.blob_path(&descriptor)).unwrap();
    }
    let lab = user(shared.path());
    let (pulled, texts) = pull(&lab, &format!("{}/app:v1", registry.host)).await;
    let image = lab.store.get(&pulled.unwrap()[0].image).unwrap();
    assert_eq!(lab.read_file(&image, "name").as_deref(), Some("other:v1"));
    assert_eq!(lab.read_file(&image, "upper").as_deref(), Some("registry's"));
    lab.assert_tidy();
    (lab, texts, is_needed)
}

#[test]
fn a_layer_that_is_shared_is_not_asked_of_the_registry() {
    inside("a_layer_that_is_shared_is_not_asked_of_the_registry", async || {
        let (lab, texts, was_fetched) = pull_beside(|_| {}).await;
        assert!(!was_fetched && !texts.iter().any(|text| text.contains("passed over")), "{texts:?}");
        let complete = texts.iter().filter(|text| *text == "Pull complete").count();
        assert_eq!(complete, 2, "{texts:?}");
        let fetched = texts.iter().filter(|text| *text == "Download complete").count();
        assert_eq!(fetched, 1, "the other layer alone: {texts:?}");
        // Whose blob it was is remembered as of any layer that was pulled.
        let layers = lab.store.catalog().layers.values().map(|layer| layer.blobs.len()).collect::<Vec<_>>();
        assert_eq!(layers, [1, 1]);
    });
}

#[test]
fn a_shared_layer_that_lies_is_fetched_after_all() {
    inside("a_shared_layer_that_lies_is_fetched_after_all", async || {
        for driver_sees in [flip as fn(&Path), zeros] {
            let (_lab, texts, was_fetched) = pull_beside(driver_sees).await;
            assert!(was_fetched);
            let told = texts.iter().filter(|text| text.contains(" is passed over: ")).count();
            assert_eq!(told, 1, "{texts:?}");
            assert_eq!(texts.iter().filter(|text| *text == "Download complete").count(), 2);
        }
    });
}

/// Of the same length, and no archive.
fn zeros(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    fs::write(path, vec![0xff; usize::try_from(length).unwrap()]).unwrap();
}
