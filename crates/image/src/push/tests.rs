use super::*;
use crate::{
    PullRequest, RegistryConfig,
    chain::digest_of,
    lab::{Heard, Lab, block_on, docker_archive, layer},
    pull::lab::{Form, Registry, Setup},
};

/// Runs `test` where loopback is up, as an unprivileged user.
fn on_loopback(name: &str, test: impl AsyncFnOnce()) {
    testing::in_userns(&format!("push::tests::{name}"), || {
        sys::loopback::up().unwrap();
        block_on(test());
    });
}

fn request(reference: &str) -> PushRequest {
    let reference = Reference::parse(reference).unwrap();
    PushRequest { all_tags: reference.is_name_only(), reference, platform: None, auth: None }
}

async fn push(lab: &Lab, reference: &str) -> Result<(Digest, Vec<String>), String> {
    let heard = Heard::default();
    let pushed = lab.store.push(request(reference), heard.progress()).await.map_err(|e| e.to_string())?;
    Ok((pushed[0].digest.clone(), heard.texts()))
}

async fn pull(lab: &Lab, reference: &str) -> Result<Digest, String> {
    let reference = Reference::parse(reference).unwrap();
    let request = PullRequest { reference, all_tags: false, platform: None, auth: None };
    let pulled = lab.store.pull(request, Progress::none()).await.map_err(|e| e.to_string())?;
    Ok(pulled[0].digest.clone())
}

fn tag(lab: &Lab, source: &str, target: &str) {
    lab.store.tag(source, &Reference::parse(target).unwrap()).unwrap();
}

fn count(texts: &[String], text: &str) -> usize {
    texts.iter().filter(|t| t.starts_with(text)).count()
}

fn layers() -> Vec<(Vec<u8>, Form)> {
    let text = "some text that compresses ".repeat(20_000);
    vec![
        (layer(&[("etc/a", "lower"), ("big", &text)]), Form::Gzip),
        (layer(&[("etc/a", "middle"), ("mid", &text[..5000])]), Form::Zstd),
        (layer(&[("etc/a", "upper")]), Form::Plain),
    ]
}

#[test]
fn what_was_pulled_is_pushed_with_its_digest() {
    on_loopback("what_was_pulled_is_pushed_with_its_digest", async || {
        let (from, to) = (Registry::start(), Registry::start());
        for (driver, docker) in [("vfs", false), ("overlay2", true)] {
            let manifest = from.put_image("org/app", "v1", &layers(), docker).await;
            let lab = Lab::with(driver, RegistryConfig::default());
            let here = format!("{}/org/app:v1", from.host);
            pull(&lab, &here).await.unwrap();
            // The same repository has everything.
            tag(&lab, &here, &format!("{}/org/app:v2", from.host));
            let (digest, texts) = push(&lab, &format!("{}/org/app:v2", from.host)).await.unwrap();
            assert_eq!(digest, manifest.digest);
            assert_eq!(count(&texts, "Layer already exists"), 3, "{texts:?}");
            // Another one of the same registry mounts it.
            let mounted = format!("{}/team/{driver}:v1", from.host);
            tag(&lab, &here, &mounted);
            let (digest, texts) = push(&lab, &mounted).await.unwrap();
            assert_eq!(digest, manifest.digest);
            assert_eq!(count(&texts, "Mounted from org/app"), 3, "{texts:?}");
            // Another registry is sent what was pulled: written again, or copied from where it came from.
            let there = format!("{}/x/{driver}:v1", to.host);
            tag(&lab, &here, &there);
            let (digest, texts) = push(&lab, &there).await.unwrap();
            assert_eq!(digest, manifest.digest);
            assert_eq!(count(&texts, "Pushed"), 3, "{texts:?}");
            assert_eq!(texts[0], format!("The push refers to repository [{}/x/{driver}]", to.host));
            assert_eq!(texts[texts.len() - 2], format!("v1: digest: {digest} size: {}", manifest.size));
            let by_digest = format!("{}/x/{driver}@{digest}", to.host);
            assert!(lab.store.resolve(&by_digest).is_ok(), "the repository digest is known");
            let other = Lab::new();
            assert_eq!(pull(&other, &there).await.unwrap(), digest);
            lab.assert_tidy();
        }
    });
}

#[test]
fn what_was_made_here_keeps_its_digest_wherever_it_goes() {
    on_loopback("what_was_made_here_keeps_its_digest_wherever_it_goes", async || {
        let (first, second) = (Registry::start(), Registry::start());
        let lab = Lab::new();
        let name = format!("{}/made:v1", first.host);
        lab.sample(&name, &"contents ".repeat(50_000));
        let (digest, texts) = push(&lab, &name).await.unwrap();
        assert_eq!(count(&texts, "Pushed"), 1);
        let again = push(&lab, &name).await.unwrap();
        assert_eq!((again.0, count(&again.1, "Layer already exists")), (digest.clone(), 1));
        // Somebody else pulls it, its registry goes away, and it is pushed to another from its files alone.
        let other = Lab::new();
        assert_eq!(pull(&other, &name).await.unwrap(), digest);
        drop(first);
        let there = format!("{}/made:v1", second.host);
        tag(&other, &name, &there);
        assert_eq!(push(&other, &there).await.unwrap().0, digest);
    });
}

#[test]
fn a_blob_that_cannot_be_had_is_compressed_anew_and_the_user_told() {
    on_loopback("a_blob_that_cannot_be_had_is_compressed_anew_and_the_user_told", async || {
        let (from, to) = (Registry::start(), Registry::start());
        let manifest = from.put_image("app", "v1", &layers(), false).await;
        let lab = Lab::new();
        let here = format!("{}/app:v1", from.host);
        pull(&lab, &here).await.unwrap();
        drop(from);
        let there = format!("{}/app:v1", to.host);
        tag(&lab, &here, &there);
        let (digest, texts) = push(&lab, &there).await.unwrap();
        assert_ne!(digest, manifest.digest);
        let told = texts.iter().filter(|t| t.contains("compressed anew, so the digest of the image changes"));
        assert_eq!(told.count(), 2, "the plain layer is exact: {texts:?}");
        let other = Lab::new();
        assert_eq!(pull(&other, &there).await.unwrap(), digest);
        let image = other.store.resolve(&there).unwrap();
        assert_eq!(image.id, lab.store.resolve(&here).unwrap().id, "the same image all the same");
        assert_eq!(other.read_file(&image, "etc/a").as_deref(), Some("upper"));
    });
}

#[test]
fn all_tags_of_a_repository_are_pushed() {
    on_loopback("all_tags_of_a_repository_are_pushed", async || {
        let registry = Registry::start();
        let lab = Lab::new();
        let name = format!("{}/many", registry.host);
        lab.sample(&format!("{name}:a"), "one");
        lab.sample(&format!("{name}:b"), "two");
        let pushed = lab.store.push(request(&name), Progress::none()).await.unwrap();
        let tags: Vec<_> = pushed.iter().map(|p| p.reference.tag().unwrap()).collect();
        assert_eq!(tags, ["a", "b"]);
        let absent = push(&lab, &format!("{name}:c")).await.unwrap_err();
        assert_eq!(absent, format!("tag does not exist: {name}:c"));
        let absent = push(&lab, "nothing/such").await.unwrap_err();
        assert_eq!(absent, "An image does not exist locally with the tag: nothing/such");
    });
}

#[test]
fn a_push_needs_the_right_password() {
    on_loopback("a_push_needs_the_right_password", async || {
        let registry = Registry::with(&Setup { with_password: true, ..Setup::default() });
        let lab = Lab::new();
        let name = format!("{}/private:v1", registry.host);
        lab.sample(&name, "secret");
        let refused = push(&lab, &name).await.unwrap_err();
        assert!(refused.contains("no basic auth credentials"), "{refused}");
        let auth = |password: &str| {
            let (username, password) = ("alice".to_owned(), password.to_owned());
            Some(RegistryAuth { username, password, ..RegistryAuth::default() })
        };
        let wrong = PushRequest { auth: auth("wrong"), ..request(&name) };
        let refused = lab.store.push(wrong, Progress::none()).await.unwrap_err().to_string();
        assert_eq!(refused, "unauthorized: authentication required");
        let right = PushRequest { auth: auth("secret"), ..request(&name) };
        lab.store.push(right, Progress::none()).await.unwrap();
    });
}

#[test]
fn a_changed_file_breaks_off_the_push_and_leaves_the_tag_as_it_was() {
    on_loopback("a_changed_file_breaks_off_the_push_and_leaves_the_tag_as_it_was", async || {
        let registry = Registry::start();
        let lab = Lab::new();
        let name = format!("{}/app:v1", registry.host);
        let image = lab.sample(&name, &"x".repeat(10_000));
        let Some(model::Rootfs::Dir { path }) =
            image.top_layer().map(|l| lab.store.inner.driver.layer_rootfs(l).unwrap())
        else {
            panic!("vfs has directories")
        };
        std::fs::write(path.join("file"), "y".repeat(10_000)).unwrap();
        let error = push(&lab, &name).await.unwrap_err();
        assert!(error.contains("cannot be written exactly as it came"), "{error}");
        assert!(pull(&Lab::new(), &name).await.unwrap_err().contains("not found"));
    });
}

#[test]
fn an_archive_with_many_layers_is_pushed_in_parallel_and_in_order() {
    on_loopback("an_archive_with_many_layers_is_pushed_in_parallel_and_in_order", async || {
        let registry = Registry::start();
        let lab = Lab::new();
        let name = format!("{}/deep:v1", registry.host);
        let mut layers: Vec<_> =
            (0..9).map(|i| layer(&[("etc/n", i.to_string().as_str()), ("same", "x")])).collect();
        layers.push(layers[0].clone());
        lab.load(&docker_archive(&[(&layers, &[&name])])).unwrap();
        push(&lab, &name).await.unwrap();
        let other = Lab::new();
        pull(&other, &name).await.unwrap();
        let image = other.store.resolve(&name).unwrap();
        assert_eq!(image.config.rootfs.diff_ids, layers.iter().map(|l| digest_of(l)).collect::<Vec<_>>());
        assert_eq!(other.read_file(&image, "etc/n").as_deref(), Some("0"));
    });
}

#[test]
fn an_index_is_pushed_where_all_of_it_is_and_else_its_manifest() {
    on_loopback("an_index_is_pushed_where_all_of_it_is_and_else_its_manifest", async || {
        let (from, to) = (Registry::start(), Registry::start());
        let mut mine = from.put_image("app", "mine", &layers(), false).await;
        let mut other = from.put_image("app", "other", &layers()[..1], false).await;
        mine.platform = Some(Platform::host());
        other.platform = Some("linux/s390x".parse().unwrap());
        let index = from.put_index("app", "latest", vec![other.clone(), mine.clone()]).await;
        let lab = Lab::new();
        let here = format!("{}/app", from.host);
        assert_eq!(pull(&lab, &format!("{here}:latest")).await.unwrap(), index.digest);
        tag(&lab, &here, &format!("{here}:again"));
        assert_eq!(push(&lab, &format!("{here}:again")).await.unwrap().0, index.digest);
        let there = format!("{}/app:v1", to.host);
        tag(&lab, &here, &there);
        assert_eq!(push(&lab, &there).await.unwrap().0, mine.digest);
        let image = lab.store.resolve(&here).unwrap();
        let members = lab.store.members(&image).unwrap();
        let there: Vec<_> =
            members.iter().map(|m| (m.descriptor.digest.clone(), m.image.is_some())).collect();
        assert_eq!(there, [(other.digest, false), (mine.digest, true)]);
        let lab = lab.reopen();
        assert_eq!(lab.store.members(&lab.store.resolve(&here).unwrap()).unwrap().len(), 2);
        lab.assert_tidy();
    });
}
