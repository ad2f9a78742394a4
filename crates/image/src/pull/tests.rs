use super::{
    lab::{Form, Registry, Setup, free_port, serve},
    *,
};
use crate::{
    RegistryConfig,
    lab::{Heard, Lab, block_on, layer},
    manifest::Descriptor,
};

/// Runs `test` where loopback is up, as an unprivileged user.
fn on_loopback(name: &str, test: impl AsyncFnOnce()) {
    testing::in_userns(&format!("pull::tests::{name}"), || {
        sys::loopback::up().unwrap();
        block_on(test());
    });
}

fn request(reference: &str) -> PullRequest {
    let reference = Reference::parse(reference).unwrap();
    PullRequest { reference, all_tags: false, platform: None, auth: None }
}

async fn pull(lab: &Lab, reference: &str) -> Result<Vec<Pulled>, String> {
    lab.store.pull(request(reference), Progress::none()).await.map_err(|e| e.to_string())
}

fn big(seed: u8, length: usize) -> String {
    // Not compressible to nothing, and the same every time.
    let mut state = u32::from(seed) + 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 27) as u8 % 26)
    };
    (0..length).map(next).collect()
}

fn three_layers() -> Vec<(Vec<u8>, Form)> {
    let text = big(1, 300_000);
    vec![
        (layer(&[("etc/a", "lower"), ("big", &text)]), Form::Gzip),
        (layer(&[("etc/a", "middle"), ("mid", &text[..5000])]), Form::Zstd),
        (layer(&[("etc/a", "upper")]), Form::Plain),
    ]
}

#[test]
fn an_image_is_pulled_by_tag_and_by_digest() {
    on_loopback("an_image_is_pulled_by_tag_and_by_digest", async || {
        let registry = Registry::start();
        for (driver, docker) in [("vfs", false), ("overlay2", false), ("overlay2", true)] {
            let manifest = registry.put_image("org/app", "v1", &three_layers(), docker).await;
            let lab = Lab::with(driver, RegistryConfig::default());
            let name = format!("{}/org/app", registry.host);
            let heard = Heard::default();
            let pulled = lab.store.pull(request(&format!("{name}:v1")), heard.progress()).await.unwrap();
            assert!(pulled[0].newer);
            assert_eq!(pulled[0].digest, manifest.digest);
            let image = lab.store.resolve(&format!("{name}:v1")).unwrap();
            assert_eq!(lab.read_file(&image, "etc/a").as_deref(), Some("upper"));
            assert_eq!(lab.read_file(&image, "big"), Some(big(1, 300_000)));
            let by_digest = format!("{name}@{}", manifest.digest);
            assert_eq!(lab.store.resolve(&by_digest).unwrap().id, image.id);
            check_story(&heard.texts(), &name, &manifest);
            let again = pull(&lab, &by_digest).await.unwrap();
            assert!(!again[0].newer);
            lab.assert_tidy();
        }
    });
}

/// What Docker's client draws, in its order.
fn check_story(texts: &[String], name: &str, manifest: &Descriptor) {
    assert_eq!(
        texts[..4],
        ["Pulling from org/app", "Pulling fs layer", "Pulling fs layer", "Pulling fs layer"]
    );
    let count = |text: &str| texts.iter().filter(|t| *t == text).count();
    for step in ["Verifying Checksum", "Download complete", "Pull complete"] {
        assert_eq!(count(step), 3, "{step} in {texts:?}");
    }
    assert!(count("Downloading") >= 3);
    let end =
        [format!("Digest: {}", manifest.digest), format!("Status: Downloaded newer image for {name}:v1")];
    assert_eq!(texts[texts.len() - 2..], end);
}

#[test]
fn a_second_pull_finds_everything_there() {
    on_loopback("a_second_pull_finds_everything_there", async || {
        let registry = Registry::start();
        registry.put_image("app", "latest", &three_layers(), false).await;
        let lab = Lab::new();
        let name = format!("{}/app", registry.host);
        pull(&lab, &name).await.unwrap();
        let heard = Heard::default();
        let again = lab.store.pull(request(&name), heard.progress()).await.unwrap();
        assert!(!again[0].newer);
        let texts = heard.texts();
        assert_eq!(texts[1..4], ["Already exists", "Already exists", "Already exists"]);
        assert_eq!(texts.last(), Some(&format!("Status: Image is up to date for {name}:latest")));
    });
}

#[test]
fn the_index_gives_this_platform() {
    on_loopback("the_index_gives_this_platform", async || {
        let registry = Registry::start();
        let mut mine = registry.put_image("app", "mine", &three_layers(), false).await;
        let mut other = registry.put_image("app", "other", &three_layers()[..1], false).await;
        mine.platform = Some(Platform::host());
        other.platform = Some("linux/s390x".parse().unwrap());
        let index = registry.put_index("app", "latest", vec![other.clone(), mine.clone()]).await;
        let lab = Lab::new();
        let name = format!("{}/app", registry.host);
        let pulled = pull(&lab, &name).await.unwrap();
        assert_eq!(pulled[0].digest, index.digest, "the repository digest is the index's");
        assert_eq!(lab.store.get(&pulled[0].image).unwrap().layers.len(), 3);
        let for_platform = |platform: &str| {
            let platform = Some(platform.parse().unwrap());
            lab.store.pull(PullRequest { platform, ..request(&name) }, Progress::none())
        };
        let other = for_platform("linux/s390x").await.unwrap();
        assert_eq!(lab.store.get(&other[0].image).unwrap().layers.len(), 1);
        let none = for_platform("linux/riscv64").await.unwrap_err();
        assert_eq!(none.to_string(), "no matching manifest for linux/riscv64 in the manifest list entries");
        assert_eq!(none.kind(), model::ErrorKind::NotFound);
    });
}

#[test]
fn every_tag_is_pulled_when_asked_for() {
    on_loopback("every_tag_is_pulled_when_asked_for", async || {
        let registry = Registry::start();
        for tag in ["a", "b"] {
            registry.put_image("app", tag, &[(layer(&[("tag", tag)]), Form::Gzip)], false).await;
        }
        let lab = Lab::new();
        let all = PullRequest { all_tags: true, ..request(&format!("{}/app", registry.host)) };
        let pulled = lab.store.pull(all, Progress::none()).await.unwrap();
        let tags: Vec<_> = pulled.iter().map(|p| p.reference.tag().unwrap().to_owned()).collect();
        assert_eq!(tags, ["a", "b"]);
        assert_eq!(lab.store.count(), 2);
    });
}

#[test]
fn a_mirror_serves_docker_hubs_names() {
    on_loopback("a_mirror_serves_docker_hubs_names", async || {
        let registry = Registry::start();
        registry.put_image("library/busybox", "latest", &three_layers(), false).await;
        let mirrors = vec![format!("http://{}", registry.host)];
        let lab = Lab::with("vfs", RegistryConfig { mirrors, ..RegistryConfig::default() });
        pull(&lab, "busybox").await.unwrap();
        assert_eq!(lab.store.resolve("docker.io/library/busybox:latest").unwrap().layers.len(), 3);
        // Docker Hub itself cannot be reached from here, but the mirror's answer is one.
        let error = pull(&lab, "absent").await.unwrap_err();
        assert!(error.starts_with("manifest for absent:latest not found: manifest unknown: "), "{error}");
    });
}

#[test]
fn what_is_not_there_is_said_in_dockers_words() {
    on_loopback("what_is_not_there_is_said_in_dockers_words", async || {
        let registry = Registry::start();
        registry.put_image("app", "v1", &three_layers()[..1], false).await;
        let lab = Lab::new();
        let name = format!("{}/app:v2", registry.host);
        assert_eq!(
            pull(&lab, &name).await,
            Err(format!("manifest for {name} not found: manifest unknown: manifest unknown"))
        );
        let port = free_port();
        let refused = pull(&lab, &format!("127.0.0.1:{port}/app")).await;
        let text = format!(
            "Get \"http://127.0.0.1:{port}/v2/\": dial tcp 127.0.0.1:{port}: connect: connection refused"
        );
        assert_eq!(refused, Err(text));
        let unknown = pull(&lab, "registry.invalid/app").await.unwrap_err();
        assert!(
            unknown.starts_with("Get \"https://registry.invalid/v2/\": dial tcp: lookup registry.invalid"),
            "{unknown}"
        );
    });
}

#[test]
fn passwords_are_asked_for_and_checked() {
    on_loopback("passwords_are_asked_for_and_checked", async || {
        let open = Registry::start();
        open.put_image("app", "latest", &three_layers()[..1], false).await;
        let registry = Registry::with(&Setup { with_password: true, ..Setup::default() });
        let lab = Lab::new();
        let name = format!("{}/app", registry.host);
        let anonymous = pull(&lab, &name).await.unwrap_err();
        assert!(anonymous.ends_with(": no basic auth credentials"), "{anonymous}");
        let auth = |password: &str| RegistryAuth {
            username: "alice".into(),
            password: password.into(),
            serveraddress: registry.host.clone(),
            ..RegistryAuth::default()
        };
        let with =
            |auth| lab.store.pull(PullRequest { auth: Some(auth), ..request(&name) }, Progress::none());
        let wrong = with(auth("wrong")).await.unwrap_err();
        assert_eq!(wrong.kind(), model::ErrorKind::Unauthorized, "{wrong}");
        let right = with(auth("secret")).await.unwrap_err().to_string();
        assert!(right.contains("manifest unknown"), "let in, to an empty registry: {right}");
        assert_eq!(lab.store.login(&auth("secret")).await.unwrap().status, "Login Succeeded");
        let refused = lab.store.login(&auth("wrong")).await.unwrap_err().to_string();
        assert!(refused.contains("failed with status: 401 Unauthorized"), "{refused}");
    });
}

#[test]
fn a_damaged_layer_is_refused_and_leaves_nothing() {
    on_loopback("a_damaged_layer_is_refused_and_leaves_nothing", async || {
        let registry = Registry::start();
        let layers = three_layers();
        registry.put_image("app", "latest", &layers, false).await;
        let gzip = crate::lab::gzip(&layers[0].0);
        let blob = Descriptor::new("", crate::chain::digest_of(&gzip), gzip.len() as u64);
        let mut damaged = gzip.clone();
        damaged[4] ^= 1; // The time in the gzip header: it unpacks to the same.
        std::fs::write(registry.blob_path(&blob), &damaged).unwrap();
        let lab = Lab::new();
        let error = pull(&lab, &format!("{}/app", registry.host)).await.unwrap_err();
        assert_eq!(error, format!("filesystem layer verification failed for digest {}", blob.digest));
        assert_eq!(lab.store.count(), 0);
        lab.assert_tidy();
    });
}

#[test]
fn the_same_layers_are_fetched_once_by_many_pulls() {
    on_loopback("the_same_layers_are_fetched_once_by_many_pulls", async || {
        let registry = Registry::start();
        let layers = three_layers();
        registry.put_image("one", "latest", &layers, false).await;
        let more = [layers, vec![(layer(&[("more", "x")]), Form::Gzip)]].concat();
        registry.put_image("two", "latest", &more, false).await;
        let lab = Lab::new();
        let heard = Heard::default();
        let pulls = (0..6).map(|i| {
            let name = format!("{}/{}", registry.host, ["one", "two"][i % 2]);
            let (store, progress) = (lab.store.clone(), heard.progress());
            tokio::spawn(async move { store.pull(request(&name), progress).await.map(|_| ()) })
        });
        for pull in pulls.collect::<Vec<_>>() {
            pull.await.unwrap().unwrap();
        }
        let complete = heard.texts().iter().filter(|t| *t == "Pull complete").count();
        assert_eq!(complete, 4, "each of four layers once");
        lab.assert_tidy();
    });
}

#[test]
fn a_pull_that_is_dropped_leaves_nothing_half_made() {
    on_loopback("a_pull_that_is_dropped_leaves_nothing_half_made", async || {
        let registry = Registry::start();
        registry.put_image("app", "latest", &three_layers(), false).await;
        for after in [1, 5, 20, 60, 150] {
            let lab = Lab::new();
            let pulling = lab.store.pull(request(&format!("{}/app", registry.host)), Progress::none());
            drop(tokio::time::timeout(std::time::Duration::from_millis(after), pulling).await);
            // Threads that were unpacking notice within moments.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            lab.store.collect_garbage(&Vec::new).unwrap();
            let (layers, images) = (lab.store.inner.driver.layers().len(), lab.store.count());
            assert_eq!(layers, images * 3, "{layers} layers after {after} ms");
            assert!(pull(&lab, &format!("{}/app", registry.host)).await.is_ok());
            lab.assert_tidy();
        }
    });
}

/// A registry that serves one image, whose layer breaks off after half of it, with ranges or without.
fn breaking_registry(ranges: bool) -> (String, Vec<u8>) {
    let plain = layer(&[("big", &big(3, 200_000))]);
    let config = crate::lab::config(std::slice::from_ref(&plain));
    let blob =
        Descriptor::new(crate::manifest::OCI_LAYER, crate::chain::digest_of(&plain), plain.len() as u64);
    let manifest = serde_json::to_vec(&crate::manifest::Manifest {
        schema_version: 2,
        media_type: crate::manifest::OCI_MANIFEST.into(),
        config: crate::lab::blob(crate::manifest::OCI_CONFIG, &config).0,
        layers: vec![blob.clone()],
        annotations: Default::default(),
    })
    .unwrap();
    let served = plain.clone();
    let breaks = std::sync::atomic::AtomicUsize::new(0);
    let answer = move |_: usize, head: &str| {
        let whole = |bytes: &[u8], promised: usize, status: &str| {
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {promised}\r\nconnection: close\r\n\r\n");
            [head.as_bytes(), bytes].concat()
        };
        if head.contains("/manifests/") {
            return whole(&manifest, manifest.len(), "200 OK");
        }
        if head.contains(blob.digest.hex()) {
            let from = head
                .lines()
                .find_map(|l| l.strip_prefix("range: bytes=")?.trim_end_matches('-').parse().ok());
            let from: usize = from.filter(|_| ranges).unwrap_or(0);
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            let rest = &served[from..];
            let first = breaks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            let sent = if first { rest.len() / 2 } else { rest.len() };
            return whole(&rest[..sent], rest.len(), status);
        }
        if head.contains("/blobs/") {
            return whole(&config, config.len(), "200 OK");
        }
        if head.starts_with("GET /v2/ ") { whole(b"{}", 2, "200 OK") } else { Vec::new() }
    };
    (serve(answer), plain)
}

#[test]
fn a_transfer_that_breaks_off_is_resumed() {
    on_loopback("a_transfer_that_breaks_off_is_resumed", async || {
        for ranges in [true, false] {
            let (host, plain) = breaking_registry(ranges);
            let lab = Lab::new();
            let heard = Heard::default();
            let pulled = lab.store.pull(request(&format!("{host}/app")), heard.progress()).await.unwrap();
            let image = lab.store.get(&pulled[0].image).unwrap();
            assert_eq!(image.layers, [crate::chain::digest_of(&plain)]);
            assert!(heard.texts().contains(&"Retrying in 1 second".to_owned()), "{:?}", heard.texts());
        }
    });
}

#[test]
fn a_pulled_image_survives_a_restart_and_saves_exactly() {
    on_loopback("a_pulled_image_survives_a_restart_and_saves_exactly", async || {
        let registry = Registry::start();
        registry.put_image("app", "latest", &three_layers(), false).await;
        let lab = Lab::with("overlay2", RegistryConfig::default());
        let name = format!("{}/app", registry.host);
        pull(&lab, &name).await.unwrap();
        let lab = lab.reopen();
        let mut stream = lab.store.save(std::slice::from_ref(&name), None).await.unwrap();
        let mut archive = Vec::new();
        while let Some(piece) = stream.recv().await {
            archive.extend(piece.unwrap());
        }
        let members = crate::lab::untar(&archive);
        for (plain, _) in three_layers() {
            let path = format!("blobs/sha256/{}", crate::chain::digest_of(&plain).hex());
            assert!(members[&path] == plain);
        }
    });
}

#[test]
fn the_image_inside_the_engine_needs_no_registry() {
    testing::in_userns("pull::tests::the_image_inside_the_engine_needs_no_registry", || {
        block_on(async {
            let lab = Lab::new();
            let heard = Heard::default();
            let pulled = lab.store.pull(request("lichen/hello"), heard.progress()).await.unwrap();
            assert!(pulled[0].newer);
            assert_eq!(
                heard.texts(),
                ["Pulling from lichen/hello", "Status: Downloaded newer image for lichen/hello:latest"]
            );
            assert_eq!(lab.store.ensure_embedded().await.unwrap(), pulled[0].image);
            let again = pull(&lab, "lichen/hello:latest").await.unwrap();
            assert!(!again[0].newer);
            assert_eq!(
                lab.store.resolve("lichen/hello").unwrap().config.config.cmd,
                Some(vec!["/hello".into()])
            );
        });
    });
}
