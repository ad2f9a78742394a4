//! Everything at once: threads that load, pull, commit, tag, save, remove, prune and collect, and containers that come
//! and go. Nothing that a container or a name needs may vanish, and when all is removed nothing may be left.
//!
//! Which steps are taken is decided by seeds; how they interleave, by the machine.

use crate::{
    ContainerUse, Error, Image, ImageStore, ImportRequest, ListFilter, LoadOptions, Progress, PullRequest,
    RemoveOptions,
    commit::CommitRequest,
    lab::{Lab, block_on, docker_archive, layer},
    pull::lab::{Form, Registry},
};
use model::{Digest, Id};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Images `app0`…, each of some of the layers; `app0` and `app1` share their lowest, `app1` is `app2`'s base.
const STACKS: [&[usize]; 4] = [&[0, 1], &[0, 2], &[0, 2, 3], &[1]];

fn layers() -> Vec<Vec<u8>> {
    let text = |i: usize| format!("{i}").repeat(40_000);
    (0..4)
        .map(|i| layer(&[(format!("only{i}").as_str(), text(i).as_str()), ("top", format!("{i}").as_str())]))
        .collect()
}

fn stack(which: usize) -> Vec<Vec<u8>> {
    let layers = layers();
    STACKS[which].iter().map(|i| layers[*i].clone()).collect()
}

/// The engine's part: containers, each with the image it stands on.
#[derive(Clone, Default)]
struct Containers(Arc<Mutex<HashMap<Id, (ContainerUse, usize)>>>);

impl Containers {
    fn uses(&self) -> Vec<ContainerUse> {
        self.0.lock().unwrap().values().map(|(used, _)| used.clone()).collect()
    }

    fn some(&self, random: &mut Random) -> Option<(ContainerUse, usize)> {
        let all = self.0.lock().unwrap();
        let mut ids: Vec<_> = all.keys().collect();
        ids.sort();
        (!ids.is_empty()).then(|| all[ids[random.below(ids.len())]].clone())
    }
}

/// xorshift64*: the same steps for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// What one thread works with.
struct Worker {
    store: ImageStore,
    containers: Containers,
    registry: String,
    random: Random,
    /// The configurations' digests of `app0`….
    images: Vec<Digest>,
    runtime: tokio::runtime::Handle,
}

impl Worker {
    fn step(&mut self) {
        let which = self.random.below(STACKS.len());
        let name = format!("app{which}");
        match self.random.below(11) {
            0 => self.load(which, &name),
            1 | 2 => self.pull(which),
            3 => self.pull_and_give_up(which),
            4 => self.tag(&name),
            5 => self.remove(&name),
            6 => self.create(which),
            7 => self.end_container(),
            8 => self.commit(),
            9 => self.collect(),
            _ => self.save(&name),
        }
    }

    fn load(&self, which: usize, name: &str) {
        let archive = docker_archive(&[(&stack(which), &[name])]);
        crate::lab::load(&self.store, &archive[..], &LoadOptions::default(), &Progress::none()).unwrap();
    }

    fn request(&self, which: usize) -> PullRequest {
        let reference = format!("{}/app{which}", self.registry).parse().unwrap();
        PullRequest { reference, all_tags: false, platform: None, auth: None }
    }

    fn pull(&self, which: usize) {
        let pulled = self.runtime.block_on(self.store.pull(self.request(which), Progress::none())).unwrap();
        assert_eq!(pulled[0].image, self.images[which]);
    }

    fn pull_and_give_up(&mut self, which: usize) {
        let patience = std::time::Duration::from_millis(self.random.below(30) as u64);
        let pulling = self.store.pull(self.request(which), Progress::none());
        let outcome = self.runtime.block_on(async { tokio::time::timeout(patience, pulling).await });
        if let Ok(pulled) = outcome {
            assert_eq!(pulled.unwrap()[0].image, self.images[which]);
        }
    }

    fn tag(&mut self, name: &str) {
        let target = format!("tagged:{}", self.random.below(3)).parse().unwrap();
        expect(self.store.tag(name, &target).map(drop), &["No such image"]);
    }

    fn remove(&mut self, name: &str) {
        let names = [name.to_owned(), "tagged:0".to_owned(), format!("{}/{name}", self.registry)];
        let options = RemoveOptions { force: self.random.below(2) == 0, no_prune: false };
        let removed = self.store.remove(&names[self.random.below(3)], options, &|| self.containers.uses());
        expect(removed.map(drop), &["No such image", "conflict: "]);
    }

    /// As the engine does: the pin goes when the container is known.
    fn create(&mut self, which: usize) {
        let id = self.images[which].to_string();
        let Ok((image, pin)) = self.store.resolve_pinned(&id) else { return };
        let top_layer = image.top_layer().cloned();
        let container = ContainerUse {
            id: Id::random(),
            image: image.id.clone(),
            top_layer: top_layer.clone().into(),
            running: self.random.below(2) == 0,
        };
        let driver = &self.store.inner.driver;
        driver.create_container(&container.id, top_layer.as_ref()).unwrap();
        self.containers.0.lock().unwrap().insert(container.id.clone(), (container, which));
        drop(pin);
    }

    fn end_container(&mut self) {
        let Some((container, which)) = self.containers.some(&mut self.random) else { return };
        self.check(&container, which);
        if self.containers.0.lock().unwrap().remove(&container.id).is_some() {
            self.store.inner.driver.remove_container(&container.id).unwrap();
        }
    }

    /// All that a container stands on is there, as long as it is.
    fn check(&self, container: &ContainerUse, which: usize) {
        let driver = &self.store.inner.driver;
        let missing: Vec<_> = self
            .store
            .stack(container.top_layer.layer().unwrap())
            .into_iter()
            .filter(|chain| !driver.layer_exists(chain))
            .collect();
        let is_there = self.containers.0.lock().unwrap().contains_key(&container.id);
        assert!(!is_there || missing.is_empty(), "app{which}: {missing:?} of a container are gone");
    }

    fn commit(&mut self) {
        let Some((container, _)) = self.containers.some(&mut self.random) else { return };
        let name = format!("committed:{}", self.random.below(2)).parse().unwrap();
        let request = CommitRequest {
            container: container.id,
            image: Some(container.image),
            top_layer: container.top_layer.layer().cloned(),
            config: Default::default(),
            changes: vec![],
            author: String::new(),
            comment: String::new(),
            created_by: String::new(),
            name: Some(name),
        };
        // The container may be removed meanwhile, which the engine does not let happen.
        drop(self.runtime.block_on(self.store.commit(request)));
    }

    fn collect(&mut self) {
        let uses = || self.containers.uses();
        match self.random.below(3) {
            0 => drop(self.store.collect_garbage(&uses).unwrap()),
            1 => drop(self.store.prune(&ListFilter::default(), &uses).unwrap()),
            _ => drop(
                self.store
                    .prune(&ListFilter { dangling: Some(false), ..ListFilter::default() }, &uses)
                    .unwrap(),
            ),
        }
    }

    /// What is there is whole: saving reads every byte of it, and compares digests.
    fn save(&self, name: &str) {
        let saved = self.runtime.block_on(async {
            let mut stream = self.store.save(&[name.to_owned()], None).await?;
            while let Some(piece) = stream.recv().await {
                piece.unwrap();
            }
            Ok::<_, Error>(())
        });
        expect(saved, &["No such image"]);
    }
}

fn expect(outcome: Result<(), Error>, allowed: &[&str]) {
    if let Err(error) = outcome {
        let text = error.to_string();
        assert!(allowed.iter().any(|allowed| text.starts_with(allowed)), "{text}");
    }
}

/// Nothing in the store's directories or records.
fn assert_empty(lab: &Lab) {
    let inner = &lab.store.inner;
    assert_eq!(inner.driver.layers(), Vec::<Digest>::new(), "layers");
    assert_eq!(inner.content.list().unwrap(), Vec::<Digest>::new(), "content");
    assert_eq!(inner.framing.list().unwrap(), Vec::<Digest>::new(), "framings");
    let records = &inner.records;
    assert_eq!(records.images.list().unwrap(), vec![], "records of images");
    assert_eq!(records.names.list().unwrap(), vec![], "records of names");
    assert_eq!(records.layers.list().unwrap(), vec![], "records of layers");
    let catalog = lab.store.catalog();
    assert!(catalog.images.is_empty() && catalog.names.is_empty() && catalog.layers.is_empty());
    drop(catalog);
    assert!(inner.claims.are_free(), "claims");
    lab.assert_tidy();
}

fn everything_at_once(driver: &'static str, seed: u64) {
    let lab = Lab::with(driver, Default::default());
    let registry = Registry::start();
    let images = (0..STACKS.len()).map(|which| {
        let layers: Vec<_> = stack(which).into_iter().map(|layer| (layer, Form::Gzip)).collect();
        block_on(registry.put_image(&format!("app{which}"), "latest", &layers, false));
        crate::chain::digest_of(&crate::lab::config(&stack(which)))
    });
    let images: Vec<_> = images.collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let containers = Containers::default();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut worker = Worker {
                store: lab.store.clone(),
                containers: containers.clone(),
                registry: registry.host.clone(),
                random: Random(seed * 1000 + thread + 1),
                images: images.clone(),
                runtime: runtime.handle().clone(),
            };
            scope.spawn(move || (0..40).for_each(|_| worker.step()));
        }
    });
    // Pulls that were given up have threads that end soon.
    drop(runtime);
    for (_, (container, which)) in containers.0.lock().unwrap().drain() {
        let worker_check = lab.store.stack(container.top_layer.layer().unwrap());
        assert_eq!(worker_check.len(), STACKS[which].len(), "app{which}: layers of a container are gone");
        lab.store.inner.driver.remove_container(&container.id).unwrap();
    }
    for summary in lab.store.list(&ListFilter { all: true, ..ListFilter::default() }).unwrap() {
        let id = summary.image.id.to_string();
        let options = RemoveOptions { force: true, no_prune: false };
        expect(lab.store.remove(&id, options, &Vec::new).map(drop), &["No such image", "conflict: "]);
    }
    lab.store.prune(&ListFilter { dangling: Some(false), ..ListFilter::default() }, &Vec::new).unwrap();
    lab.store.collect_garbage(&Vec::new).unwrap();
    assert_empty(&lab);
}

/// What import and commit make is whole, however often somebody collects meanwhile: it has no record until the end.
#[test]
fn what_is_being_made_is_not_collected() {
    testing::in_userns("stress::what_is_being_made_is_not_collected", || {
        let lab = Lab::new();
        let base = lab.sample("base", "old");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        lab.store.collect_garbage(&Vec::new).unwrap();
                    }
                });
            }
            // A failure must end the collecting too, or it would never be told.
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| make(&lab, &base, &runtime)));
            done.store(true, Ordering::Relaxed);
            made.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    });
}

fn make(lab: &Lab, base: &Image, runtime: &tokio::runtime::Runtime) {
    let container = Id::random();
    lab.store.inner.driver.create_container(&container, base.top_layer()).unwrap();
    for round in 0..40 {
        let text = round.to_string();
        let archive = std::io::Cursor::new(layer(&[("file", &text)]));
        let imported = lab.store.import(archive, ImportRequest::default(), Progress::none());
        let request = CommitRequest {
            container: container.clone(),
            image: Some(base.id.clone()),
            top_layer: base.top_layer().cloned(),
            config: Default::default(),
            changes: vec![],
            author: text,
            comment: String::new(),
            created_by: String::new(),
            name: None,
        };
        let committed = runtime.block_on(lab.store.commit(request)).unwrap();
        for id in [runtime.block_on(imported).unwrap().image, committed] {
            let bytes = lab.store.config_bytes(&id).unwrap_or_else(|e| panic!("round {round}: {e}"));
            assert_eq!(crate::chain::digest_of(&bytes), id);
        }
    }
}

#[test]
fn nothing_in_use_vanishes_and_nothing_is_left() {
    testing::in_userns("stress::nothing_in_use_vanishes_and_nothing_is_left", || {
        sys::loopback::up().unwrap();
        let seeds = std::env::var("LICHEN_TEST_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
        for seed in 0..seeds {
            println!("seed {seed}");
            everything_at_once(["overlay2", "vfs"][seed as usize % 2], seed);
        }
    });
}
