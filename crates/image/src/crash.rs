//! What kill -9 in the middle of a pull, load, push, save, removal, prune or collection leaves: each layer complete or
//! absent, and a store that opens.
//!
//! A test runs this binary again for the single test [`worker`], kills it after a while, opens the store and checks it.
//! Saving an image reads every byte of its layers and compares digests, so it is the check.

use crate::{
    ImageStore, ListFilter, LoadOptions, Progress, PullRequest, PushRequest, RegistryConfig, RemoveOptions,
    lab::{Lab, block_on, docker_archive, layer},
    layers::Expected,
    pull::lab::{Form, Registry},
};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const JOB: &str = "LICHEN_TEST_CRASH_JOB";
const ROOT: &str = "LICHEN_TEST_CRASH_ROOT";
/// When it is set, the worker goes no further than a whole image, and prints that it has it.
const STAY: &str = "LICHEN_TEST_CRASH_STAY";
const BEGUN: &str = "the operation begins";
const DONE: &str = "the operation is done";
/// Of one operation.
const MOMENTS: u32 = 10;
const THERE: &str = "the image is there";
/// Rounds that end at some moment; one more ends with the image there.
const ROUNDS: u32 = 25;

/// Does what the environment says, over and over, until it is killed. Not a test by itself.
#[test]
#[ignore = "the process that the tests below kill"]
fn worker() {
    let (Ok(job), Ok(root)) = (std::env::var(JOB), std::env::var(ROOT)) else {
        panic!("run by the tests of this module only");
    };
    let store = crate::lab::open(Path::new(&root), "overlay2", &RegistryConfig::default());
    let remove = |name: &str| store.remove(name, RemoveOptions { force: true, no_prune: false }, &Vec::new);
    if let Some(job) = job.strip_prefix("once:") {
        println!("{BEGUN}");
        once(&store, job);
        println!("{DONE}");
        stay();
    }
    loop {
        if let Some(archive) = job.strip_prefix("load:") {
            let file = std::fs::File::open(archive).unwrap();
            crate::lab::load(&store, file, &LoadOptions::default(), &Progress::none()).unwrap();
            stay_if_told();
            remove("app").unwrap();
        } else if let Some(name) = job.strip_prefix("push:") {
            let reference = name.parse().unwrap();
            let request = PushRequest { reference, all_tags: false, platform: None, auth: None };
            block_on(store.push(request, Progress::none())).unwrap();
        } else {
            let request =
                PullRequest { reference: job.parse().unwrap(), all_tags: false, platform: None, auth: None };
            block_on(store.pull(request, Progress::none())).unwrap();
            stay_if_told();
            remove(&job).unwrap();
        }
    }
}

fn stay_if_told() {
    if std::env::var_os(STAY).is_some() {
        println!("{THERE}");
        stay();
    }
}

fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

fn once(store: &ImageStore, job: &str) {
    match job {
        "save" => block_on(async {
            let mut stream = store.save(&["app".to_owned(), "other".to_owned()], None).await.unwrap();
            while let Some(piece) = stream.recv().await {
                piece.unwrap();
            }
        }),
        "remove" => {
            let options = RemoveOptions { force: true, no_prune: false };
            drop(store.remove("app", options, &Vec::new).unwrap());
        }
        "prune" => {
            let all = ListFilter { dangling: Some(false), ..ListFilter::default() };
            drop(store.prune(&all, &Vec::new).unwrap());
        }
        "collect" => drop(store.collect_garbage(&Vec::new).unwrap()),
        _ => panic!("no job {job:?}"),
    }
}

fn start(job: &str, root: &Path, stay: bool) -> Child {
    Command::new("/proc/self/exe")
        .args(["--exact", "crash::worker", "--include-ignored", "--nocapture"])
        .env(JOB, job)
        .env(ROOT, root)
        .envs(stay.then_some((STAY, "1")))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the worker at many moments; the store must open each time, and all that it has must be whole.
fn kill_often(job: &str) {
    let mut lab = Lab::with("overlay2", RegistryConfig::default());
    let mut whole = 0;
    for round in 0..=ROUNDS {
        let root = lab.root().to_owned();
        lab = lab.closed_during(|| {
            let mut worker = start(job, &root, round == ROUNDS);
            let said = BufReader::new(worker.stdout.take().unwrap());
            if round < ROUNDS {
                std::thread::sleep(Duration::from_millis(43) + Duration::from_millis(13) * round);
            } else {
                assert!(said.lines().map(Result::unwrap).any(|line| line.contains(THERE)));
            }
            worker.kill().and_then(|()| worker.wait()).unwrap();
        });
        lab.store.collect_garbage(&Vec::new).unwrap();
        lab.assert_tidy();
        for summary in lab.store.list(&crate::ListFilter::default()).unwrap() {
            check_whole(&lab, summary.image.id.as_str());
            whole += 1;
        }
        let layers = lab.store.inner.driver.layers().len();
        assert!(layers == 0 || lab.store.count() == 1, "{layers} layers and {} images", lab.store.count());
    }
    assert!(whole > 0, "an image that was there is gone after the kill");
}

/// Two images that share layers, and layers and content that nobody needs.
fn furnished() -> Lab {
    let lab = Lab::with("overlay2", RegistryConfig::default());
    let layers = layers();
    lab.load(&docker_archive(&[(&layers, &["app"]), (&layers[..2], &["other"])])).unwrap();
    let mut below = None;
    for layer in layers.iter().rev() {
        let expected = Expected { parent: below.as_ref(), blob: None, diff_id: None, seen: None };
        below = Some(lab.store.make_layer(&layer[..], &expected).unwrap().chain);
    }
    lab.store.inner.content.put(b"nobody needs this").unwrap();
    lab
}

/// Kills the worker at moments spread over the time that one operation takes. The store must open each time with all of
/// `stay`, every image that it has must be whole, and whatever else there is must be garbage.
fn kill_during(job: &str, stay: &[&str]) {
    let mut takes = None;
    for round in 0..=MOMENTS {
        let mut lab = furnished();
        let root = lab.root().to_owned();
        lab = lab.closed_during(|| {
            let mut worker = start(&format!("once:{job}"), &root, false);
            let mut said = BufReader::new(worker.stdout.take().unwrap()).lines().map(Result::unwrap);
            assert!(said.any(|line| line.contains(BEGUN)));
            let begun = Instant::now();
            match takes {
                None => {
                    assert!(said.any(|line| line.contains(DONE)));
                    takes = Some(begun.elapsed());
                }
                Some(takes) => std::thread::sleep(takes * (round - 1) / MOMENTS),
            }
            worker.kill().and_then(|()| worker.wait()).unwrap();
        });
        lab.store.collect_garbage(&Vec::new).unwrap();
        lab.assert_tidy();
        for name in stay {
            lab.store.resolve(name).unwrap();
        }
        for summary in lab.store.list(&ListFilter::default()).unwrap() {
            check_whole(&lab, summary.image.id.as_str());
        }
        let named = |name| usize::from(lab.store.resolve(name).is_ok());
        let layers = if named("app") == 1 { 4 } else { 2 * named("other") };
        assert_eq!(lab.store.inner.driver.layers().len(), layers, "round {round}");
        assert_eq!(lab.store.inner.content.list().unwrap().len(), named("app") + named("other"));
    }
}

#[test]
fn a_killed_save_changes_nothing() {
    testing::in_userns("crash::a_killed_save_changes_nothing", || kill_during("save", &["app", "other"]));
}

#[test]
fn a_killed_removal_leaves_images_whole_or_absent() {
    testing::in_userns("crash::a_killed_removal_leaves_images_whole_or_absent", || {
        kill_during("remove", &["other"]);
    });
}

#[test]
fn a_killed_prune_leaves_images_whole_or_absent() {
    testing::in_userns("crash::a_killed_prune_leaves_images_whole_or_absent", || kill_during("prune", &[]));
}

#[test]
fn a_killed_collection_takes_only_garbage() {
    testing::in_userns("crash::a_killed_collection_takes_only_garbage", || {
        kill_during("collect", &["app", "other"]);
    });
}

fn check_whole(lab: &Lab, image: &str) {
    block_on(async {
        let mut stream = lab.store.save(&[image.to_owned()], None).await.unwrap();
        while let Some(piece) = stream.recv().await {
            piece.unwrap();
        }
    });
}

fn layers() -> Vec<Vec<u8>> {
    let text = |i: usize| format!("{i}").repeat(150_000);
    (0..4)
        .map(|i| layer(&[(format!("dir{i}/big").as_str(), text(i).as_str()), ("same", text(i).as_str())]))
        .collect()
}

#[test]
fn a_killed_pull_leaves_layers_whole_or_absent() {
    testing::in_userns("crash::a_killed_pull_leaves_layers_whole_or_absent", || {
        sys::loopback::up().unwrap();
        let registry = Registry::start();
        let layers: Vec<_> = layers().into_iter().map(|l| (l, Form::Gzip)).collect();
        block_on(registry.put_image("app", "latest", &layers, false));
        kill_often(&format!("{}/app", registry.host));
    });
}

#[test]
fn a_killed_load_leaves_layers_whole_or_absent() {
    testing::in_userns("crash::a_killed_load_leaves_layers_whole_or_absent", || {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("app.tar");
        std::fs::write(&archive, docker_archive(&[(&layers(), &["app"])])).unwrap();
        kill_often(&format!("load:{}", archive.display()));
    });
}

#[test]
fn a_killed_push_leaves_the_image_whole_and_no_broken_tag() {
    testing::in_userns("crash::a_killed_push_leaves_the_image_whole_and_no_broken_tag", || {
        sys::loopback::up().unwrap();
        let registry = Registry::start();
        let mut lab = Lab::with("overlay2", RegistryConfig::default());
        let id = lab.load(&docker_archive(&[(&layers(), &["app"])])).unwrap()[0].image.to_string();
        let mut arrived = 0;
        let mut after = Duration::from_millis(20);
        // As often as it is quick, and then, on a busy machine, until a push was through.
        for round in 0..30 {
            if round >= 12 && arrived > 0 {
                break;
            }
            after = if round < 12 { after + Duration::from_millis(25) } else { after * 3 / 2 };
            let name = format!("{}/round{round}/app:v1", registry.host);
            lab.store.tag(&id, &name.parse().unwrap()).unwrap();
            let root = lab.root().to_owned();
            lab = lab.closed_during(|| {
                let mut worker = start(&format!("push:{name}"), &root, false);
                std::thread::sleep(after);
                worker.kill().and_then(|()| worker.wait()).unwrap();
            });
            lab.assert_tidy();
            check_whole(&lab, &id);
            let reference = name.parse().unwrap();
            let request = PullRequest { reference, all_tags: false, platform: None, auth: None };
            match block_on(Lab::new().store.pull(request, Progress::none())) {
                Ok(pulled) => {
                    assert_eq!(pulled[0].image.to_string(), id);
                    arrived += 1;
                }
                Err(error) => assert!(error.to_string().contains("not found"), "{error}"),
            }
        }
        assert!(arrived > 0, "no round got as far as the tag: the worker is too slow for this test");
    });
}
