//! What kill -9 in the middle of a pull, a load or a removal leaves: each layer complete or absent, and a store that
//! opens.
//!
//! A test runs this binary again for the single test [`worker`], kills it after a while, opens the store and checks it.
//! Saving an image reads every byte of its layers and compares digests, so it is the check.

use crate::{
    LoadOptions, Progress, PullRequest, PushRequest, RegistryConfig, RemoveOptions,
    lab::{Lab, block_on, docker_archive, layer},
    pull::lab::{Form, Registry},
};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const JOB: &str = "LICHEN_TEST_CRASH_JOB";
const ROOT: &str = "LICHEN_TEST_CRASH_ROOT";
/// When it is set, the worker goes no further than a whole image, and prints that it has it.
const STAY: &str = "LICHEN_TEST_CRASH_STAY";
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
    loop {
        if let Some(archive) = job.strip_prefix("load:") {
            let file = std::fs::File::open(archive).unwrap();
            store.load_blocking(file, &LoadOptions::default(), &Progress::none()).unwrap();
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
        loop {
            std::thread::park();
        }
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
