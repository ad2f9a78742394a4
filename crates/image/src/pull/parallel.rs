//! Layers that are fetched and unpacked at the same time.

use super::*;
use crate::{
    RegistryConfig,
    fake::{Answer, Asked, Fake},
    lab::{Heard, Lab, block_on, layer},
    manifest::{self, Descriptor, Manifest},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

fn on_loopback(name: &str, test: impl AsyncFnOnce()) {
    testing::in_userns(&format!("pull::parallel::{name}"), || {
        sys::loopback::up().unwrap();
        block_on(test());
    });
}

/// An image of plain layers, and how a registry answers for it.
struct Stacked {
    layers: Vec<(Descriptor, Vec<u8>)>,
    config: (Descriptor, Vec<u8>),
    manifest: Vec<u8>,
}

impl Stacked {
    fn new(layers: Vec<Vec<u8>>) -> Self {
        let config = crate::lab::blob(manifest::OCI_CONFIG, &crate::lab::config(&layers));
        let layers: Vec<_> = layers.iter().map(|l| crate::lab::blob(manifest::OCI_LAYER, l)).collect();
        let manifest = serde_json::to_vec(&Manifest {
            schema_version: 2,
            media_type: manifest::OCI_MANIFEST.into(),
            config: config.0.clone(),
            layers: layers.iter().map(|(descriptor, _)| descriptor.clone()).collect(),
            annotations: Default::default(),
        });
        Self { layers, config, manifest: manifest.unwrap() }
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let blobs = self.layers.iter().chain([&self.config]);
        match blobs.clone().find(|(descriptor, _)| asked.is_blob(descriptor)) {
            Some((_, bytes)) => Answer::ok(bytes.clone()),
            None if asked.path.contains("/manifests/") => Answer::ok(self.manifest.clone()),
            None => Answer::ok("{}"),
        }
    }

    fn short(&self, layer: usize) -> String {
        self.layers[layer].0.digest.short().to_owned()
    }
}

/// Lets the base layer wait for a word.
fn held_back(stacked: &Arc<Stacked>) -> (Fake, Arc<AtomicBool>) {
    let (go, stacked) = (Arc::new(AtomicBool::new(false)), stacked.clone());
    let told = go.clone();
    let fake = Fake::start(move |asked| {
        while asked.is_blob(&stacked.layers[0].0) && !told.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(2));
        }
        stacked.answer(asked)
    });
    (fake, go)
}

fn request(fake: &Fake) -> PullRequest {
    let reference = Reference::parse(&format!("{}/app", fake.host)).unwrap();
    PullRequest { reference, all_tags: false, platform: None, auth: None }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the layer's last byte is unpacked.
fn is_extracted(heard: &Heard, id: &str) -> bool {
    let done = |m: &Message| m.progress_detail.is_some_and(|p| p.total > 0 && p.current == p.total);
    let extracting = |m: &Message| m.status.as_deref() == Some("Extracting") && m.id.as_deref() == Some(id);
    heard.messages().iter().any(|m| extracting(m) && done(m))
}

fn overlays() -> Lab {
    Lab::with("overlay2", RegistryConfig::default())
}

#[test]
fn a_layer_is_unpacked_while_the_one_below_is_still_coming() {
    on_loopback("a_layer_is_unpacked_while_the_one_below_is_still_coming", async || {
        let stacked = Arc::new(Stacked::new(vec![layer(&[("base", "1")]), layer(&[("top", "2")])]));
        let (fake, go) = held_back(&stacked);
        let (lab, heard) = (overlays(), Heard::default());
        let pulling = tokio::spawn({
            let (store, request, progress) = (lab.store.clone(), request(&fake), heard.progress());
            async move { store.pull(request, progress).await }
        });
        let (base, top) = (stacked.short(0), stacked.short(1));
        until("the upper layer is unpacked", || is_extracted(&heard, &top)).await;
        assert!(!is_extracted(&heard, &base));
        assert_eq!(lab.store.inner.driver.layers(), [], "nothing is committed before what is below it");
        go.store(true, Ordering::Relaxed);
        let pulled = pulling.await.unwrap().unwrap();
        let image = lab.store.get(&pulled[0].image).unwrap();
        assert_eq!(lab.read_file(&image, "base").as_deref(), Some("1"));
        assert_eq!(lab.read_file(&image, "top").as_deref(), Some("2"));
        let complete = |m: &Message| m.status.as_deref() == Some("Pull complete");
        let order: Vec<_> = heard.messages().into_iter().filter(complete).filter_map(|m| m.id).collect();
        assert_eq!(order, [base, top]);
        lab.assert_tidy();
    });
}

/// More of them than there are turns and permits, each of which has to look into what is below.
#[test]
fn layers_that_ask_for_what_is_below_wait_for_it_and_come_through() {
    on_loopback("layers_that_ask_for_what_is_below_wait_for_it_and_come_through", async || {
        let names: Vec<String> = (0..12).map(|n| format!("in/a/directory/f{n}")).collect();
        let layers: Vec<_> = names.iter().map(|name| layer(&[(name, name)])).collect();
        let other = [&layers[..5], &[layer(&[("in/a/other", "x")])]].concat();
        let lab = overlays();
        let (first, second) = (Arc::new(Stacked::new(layers)), Arc::new(Stacked::new(other)));
        let ((one, go), (two, go_too)) = (held_back(&first), held_back(&second));
        let pulls = [&one, &two, &one, &two].map(|fake| {
            let (store, request) = (lab.store.clone(), request(fake));
            tokio::spawn(async move { store.pull(request, Progress::none()).await })
        });
        let asked = || one.asked("/blobs/").len() + two.asked("/blobs/").len();
        until("both are asked for blobs", || asked() > 3).await;
        go.store(true, Ordering::Relaxed);
        go_too.store(true, Ordering::Relaxed);
        for pull in pulls {
            let pulled = pull.await.unwrap().unwrap();
            let image = lab.store.get(&pulled[0].image).unwrap();
            for name in names.iter().take(5) {
                assert_eq!(lab.read_file(&image, name).as_ref(), Some(name));
            }
        }
        assert_eq!(lab.store.inner.driver.layers().len(), 13, "each once");
        lab.assert_tidy();
    });
}

#[test]
fn when_the_base_is_damaged_that_is_what_is_told() {
    on_loopback("when_the_base_is_damaged_that_is_what_is_told", async || {
        // The second asks for the base, the third does not.
        let layers = vec![layer(&[("d/base", "1")]), layer(&[("d/second", "2")]), layer(&[("third", "3")])];
        let stacked = Arc::new(Stacked::new(layers));
        let base = stacked.layers[0].0.clone();
        let heard = Heard::default();
        let fake = Fake::start({
            let (heard, base) = (heard.clone(), base.clone());
            move |asked| {
                while asked.is_blob(&base) && !heard.texts().iter().any(|text| text == "Download complete") {
                    std::thread::sleep(Duration::from_millis(2));
                }
                match asked.is_blob(&base) {
                    true => Answer::ok(vec![0; base.size as usize]),
                    false => stacked.answer(asked),
                }
            }
        });
        let lab = overlays();
        let error = lab.store.pull(request(&fake), heard.progress()).await.unwrap_err().to_string();
        assert_eq!(error, format!("filesystem layer verification failed for digest {}", base.digest));
        assert_eq!(lab.store.inner.driver.layers(), []);
        assert_eq!(std::fs::read_dir(lab.root().join("overlay2/tmp")).unwrap().count(), 0);
        lab.assert_tidy();
    });
}
