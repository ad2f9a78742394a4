//! Registries that stall, truncate, lie, send in circles or want to be left alone: a pull ends well or with one line, and
//! nothing half-made is left.

use super::*;
use crate::{
    RegistryConfig,
    fake::{Answer, Asked, Fake, Sample},
    lab::{Heard, Lab, block_on},
    registry::Patience,
};
use std::{
    sync::{Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

fn on_loopback(name: &str, test: impl AsyncFnOnce()) {
    testing::in_userns(&format!("pull::hostile::{name}"), || {
        sys::loopback::up().unwrap();
        block_on(test());
    });
}

fn request(fake: &Fake) -> PullRequest {
    let reference = Reference::parse(&format!("{}/app", fake.host)).unwrap();
    PullRequest { reference, all_tags: false, platform: None, auth: None }
}

/// A store that waits little between attempts, and so long for a registry that says nothing.
fn hasty(silence: Duration) -> Lab {
    let patience = Patience { silence, retry: Duration::from_millis(1) };
    Lab::with("vfs", RegistryConfig { patience, ..RegistryConfig::default() })
}

/// What is answered, and what is said of it.
type Case = (fn() -> Answer, &'static str);

const MINUTE: Duration = Duration::from_secs(60);

/// What a pull that must fail says: one line. Nothing is left of it.
async fn refusal(lab: &Lab, request: PullRequest) -> String {
    let error = lab.store.pull(request, Progress::none()).await.unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    assert_eq!(lab.store.count(), 0);
    lab.store.collect_garbage(&Vec::new).unwrap();
    assert_eq!(lab.store.inner.driver.layers().len(), 0, "{error}");
    lab.assert_tidy();
    error
}

#[test]
fn a_stalled_transfer_is_taken_up_where_it_stopped() {
    on_loopback("a_stalled_transfer_is_taken_up_where_it_stopped", async || {
        let sample = Sample::new();
        let half = sample.layer.len() / 2;
        let digest = sample.layer_blob.digest.clone();
        let fake = Fake::start(move |asked| {
            let begins = asked.is_blob(&sample.layer_blob) && asked.offset() == 0;
            if begins { sample.layer_cut(0, half).stalling() } else { sample.answer(asked) }
        });
        let lab = hasty(Duration::from_secs(1));
        let heard = Heard::default();
        lab.store.pull(request(&fake), heard.progress()).await.unwrap();
        let offsets: Vec<_> = fake.asked(digest.hex()).iter().map(Asked::offset).collect();
        assert_eq!(offsets, [0, half]);
        assert!(heard.texts().contains(&"Retrying in 1 second".to_owned()), "{:?}", heard.texts());
        lab.assert_tidy();
    });
}

#[test]
fn a_registry_that_stalls_for_good_is_given_up() {
    on_loopback("a_registry_that_stalls_for_good_is_given_up", async || {
        let sample = Sample::new();
        let (half, size) = (sample.layer.len() / 2, sample.layer.len());
        let fake = Fake::start(move |asked| match asked.offset() {
            _ if !asked.is_blob(&sample.layer_blob) => sample.answer(asked),
            0 => sample.layer_cut(0, half).stalling(),
            offset => sample.layer_cut(offset, 0).stalling(),
        });
        let error = refusal(&hasty(Duration::from_secs(1)), request(&fake)).await;
        let end = format!("i/o timeout: the registry sent no more after {half} of {size} bytes");
        assert!(error.starts_with("Get \"http://") && error.ends_with(&end), "{error}");
    });
}

#[test]
fn a_pull_that_is_given_up_leaves_a_stalled_registry_at_once() {
    on_loopback("a_pull_that_is_given_up_leaves_a_stalled_registry_at_once", async || {
        let sample = Sample::new();
        let half = sample.layer.len() / 2;
        let fake = Fake::start(move |asked| {
            if asked.is_blob(&sample.layer_blob) {
                sample.layer_cut(0, half).stalling()
            } else {
                sample.answer(asked)
            }
        });
        let lab = hasty(MINUTE * 60);
        let pulling = tokio::spawn({
            let (store, request) = (lab.store.clone(), request(&fake));
            async move { store.pull(request, Progress::none()).await.map(drop) }
        });
        // Until half of the layer, and all else, was sent.
        until(|| fake.sent.load(Ordering::Relaxed) >= half).await;
        pulling.abort();
        assert!(pulling.await.unwrap_err().is_cancelled());
        until(|| fake.left.load(Ordering::Relaxed) == 1).await;
        // The thread that was unpacking sees the end of its channel.
        let tmp = lab.root().join("content/framing");
        until(|| std::fs::read_dir(&tmp).unwrap().count() == 0).await;
        lab.store.collect_garbage(&Vec::new).unwrap();
        assert_eq!(lab.store.inner.driver.layers().len(), 0);
        lab.assert_tidy();
    });
}

/// Waits for what must come; a stalled machine gets a minute.
async fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + MINUTE;
    while !holds() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_registry_that_cuts_every_answer_short_is_given_up() {
    on_loopback("a_registry_that_cuts_every_answer_short_is_given_up", async || {
        for has_length in [true, false] {
            let sample = Sample::new();
            let (half, size) = (sample.layer.len() / 2, sample.layer.len());
            let digest = sample.layer_blob.digest.clone();
            let fake = Fake::start(move |asked| {
                if asked.is_blob(&sample.layer_blob) {
                    // All of it again, whatever range is asked for.
                    sample.layer_cut(0, half).promising(has_length.then_some(size))
                } else {
                    sample.answer(asked)
                }
            });
            let error = refusal(&hasty(MINUTE), request(&fake)).await;
            assert!(error.ends_with(&format!("after {half} of {size} bytes")), "{error}");
            assert_eq!(fake.asked(digest.hex()).len(), 5);
        }
    });
}

#[test]
fn lies_about_digests_and_lengths_are_found_out() {
    on_loopback("lies_about_digests_and_lengths_are_found_out", async || {
        let wrong = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
        type Lie = Box<dyn Fn(&Sample, &Asked) -> Option<Answer> + Send + Sync>;
        let lies: Vec<(&str, Sample, Lie, &str)> = vec![
            (
                "a configuration of another digest",
                Sample::new(),
                Box::new(move |s, asked| asked.is_blob(&s.config_blob).then(|| Answer::ok(wrong(&s.config)))),
                "image config verification failed for digest sha256:",
            ),
            (
                "a layer of another digest",
                Sample::new(),
                Box::new(move |s, asked| {
                    let mut layer = s.layer.clone();
                    let last = layer.len() - 1;
                    layer[last] = 1;
                    asked.is_blob(&s.layer_blob).then(|| Answer::ok(layer))
                }),
                "filesystem layer verification failed for digest sha256:",
            ),
            (
                "a layer longer than the manifest says",
                Sample::with_size(|size| size - 1),
                Box::new(|_, _| None),
                "bytes of it, and its manifest says",
            ),
            (
                "a layer longer than the manifest says, and no word about it",
                Sample::with_size(|size| size - 1),
                Box::new(|s, asked| asked.is_blob(&s.layer_blob).then(|| s.layer_from(0).promising(None))),
                "filesystem layer verification failed for digest sha256:",
            ),
            (
                "a layer shorter than the manifest says",
                Sample::with_size(|size| size + 1),
                Box::new(|_, _| None),
                "bytes of it, and its manifest says",
            ),
            (
                "a layer without end",
                Sample::with_size(|_| u64::MAX),
                Box::new(|_, _| None),
                "bytes of it, and its manifest says 18446744073709551615",
            ),
            (
                "a range of other bytes",
                Sample::new(),
                Box::new(|s, asked| {
                    let half = s.layer.len() / 2;
                    asked.is_blob(&s.layer_blob).then(|| match asked.offset() {
                        0 => s.layer_cut(0, half),
                        _ => Answer::new("206 Partial Content", &s.layer[..s.layer.len() - half]),
                    })
                }),
                "malformed archive",
            ),
        ];
        for (what, sample, lie, says) in lies {
            let fake = Fake::start(move |asked| lie(&sample, asked).unwrap_or_else(|| sample.answer(asked)));
            let error = refusal(&hasty(MINUTE), request(&fake)).await;
            assert!(error.contains(says), "{what}: {error}");
        }
        let sample = Sample::new();
        let fake = Fake::start(move |asked| sample.answer(asked));
        let other = crate::chain::digest_of(b"another manifest");
        let by_digest = PullRequest {
            reference: Reference::parse(&format!("{}/app@{other}", fake.host)).unwrap(),
            ..request(&fake)
        };
        let error = refusal(&hasty(MINUTE), by_digest).await;
        assert_eq!(error, format!("manifest verification failed for digest {other}"));
    });
}

#[test]
fn a_registry_that_wants_to_be_asked_later_is() {
    on_loopback("a_registry_that_wants_to_be_asked_later_is", async || {
        let dates =
            [("date", "Sun, 06 Nov 1994 08:49:36 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")];
        let ways: [(&str, &[(&str, &str)]); 3] = [
            ("429 Too Many Requests", &[("retry-after", "1")]),
            ("503 Service Unavailable", &[("retry-after", "1")]),
            ("503 Service Unavailable", &dates),
        ];
        for (status, headers) in ways {
            let sample = Sample::new();
            let digest = sample.layer_blob.digest.clone();
            let served = Mutex::new([0u32; 2]);
            let headers: Vec<_> = headers.to_vec();
            let fake = Fake::start(move |asked| {
                let is_layer = asked.is_blob(&sample.layer_blob);
                if is_layer || asked.path.contains("/manifests/") {
                    let count = &mut served.lock().unwrap()[usize::from(is_layer)];
                    *count += 1;
                    if *count == 1 {
                        let refused = Answer::new(status, "");
                        return headers
                            .iter()
                            .fold(refused, |answer, (name, value)| answer.header(name, value));
                    }
                }
                sample.answer(asked)
            });
            hasty(MINUTE).store.pull(request(&fake), Progress::none()).await.unwrap();
            for part in ["/manifests/", digest.hex()] {
                let asked = fake.asked(part);
                assert_eq!(asked.len(), 2, "{status}, {part}");
                let pause = asked[1].at - asked[0].at;
                assert!(pause >= Duration::from_secs(1), "{status}, {part}: asked again after {pause:?}");
            }
        }
    });
}

#[test]
fn a_long_wait_is_told_and_not_waited() {
    on_loopback("a_long_wait_is_told_and_not_waited", async || {
        let sample = Sample::new();
        let digest = sample.layer_blob.digest.clone();
        let said =
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        let fake = Fake::start(move |asked| {
            if asked.is_blob(&sample.layer_blob) {
                Answer::new("429 Too Many Requests", said).header("retry-after", 21_600)
            } else {
                sample.answer(asked)
            }
        });
        let error = refusal(&hasty(MINUTE), request(&fake)).await;
        let expect = "toomanyrequests: You have reached your pull rate limit. (try again in 21600 seconds)";
        assert_eq!(error, expect);
        assert_eq!(fake.asked(digest.hex()).len(), 1);
    });
}

#[test]
fn redirections_in_a_circle_end() {
    on_loopback("redirections_in_a_circle_end", async || {
        for part in ["/manifests/", "/blobs/"] {
            let sample = Sample::new();
            let fake = Fake::start(move |asked| {
                if asked.path.contains(part) {
                    Answer::new("307 Temporary Redirect", "").header("location", &asked.path)
                } else {
                    sample.answer(asked)
                }
            });
            let error = refusal(&hasty(MINUTE), request(&fake)).await;
            assert!(error.ends_with("stopped after 10 redirects"), "{error}");
            assert_eq!(fake.asked(part).len(), 11);
        }
    });
}

#[test]
fn credentials_do_not_follow_a_redirection() {
    on_loopback("credentials_do_not_follow_a_redirection", async || {
        let (sample, store) = (Sample::new(), Sample::new());
        let storage = Fake::start(move |asked| store.answer(asked));
        let host = storage.host.clone();
        let fake = Fake::start(move |asked| {
            if asked.header("authorization").is_none() {
                return Answer::new("401 Unauthorized", "").header("www-authenticate", "Basic realm=\"x\"");
            }
            if asked.is_blob(&sample.layer_blob) {
                let elsewhere = format!("http://{host}{}", asked.path);
                return Answer::new("307 Temporary Redirect", "").header("location", elsewhere);
            }
            sample.answer(asked)
        });
        let auth = RegistryAuth { username: "alice".into(), password: "secret".into(), ..Default::default() };
        let request = PullRequest { auth: Some(auth), ..request(&fake) };
        hasty(MINUTE).store.pull(request, Progress::none()).await.unwrap();
        let moved = storage.asked("/blobs/");
        assert_eq!(moved.len(), 1);
        assert_eq!(moved[0].header("authorization"), None);
    });
}

#[test]
fn documents_without_end_are_not_read_to_it() {
    on_loopback("documents_without_end_are_not_read_to_it", async || {
        for (part, what) in [("/manifests/", "manifest"), ("/blobs/", "image config")] {
            let sample = Sample::new();
            let fake = Fake::start(move |asked| {
                if asked.path.contains(part) {
                    Answer::ok(vec![b' '; 100 << 20])
                } else {
                    sample.answer(asked)
                }
            });
            let error = refusal(&hasty(MINUTE), request(&fake)).await;
            assert!(error.ends_with(&format!("{what} is larger than 8388608 bytes")), "{error}");
            // What was on its way is in the buffers of the sockets.
            let sent = fake.sent.load(Ordering::Relaxed);
            assert!(sent < 50 << 20, "{sent} bytes were taken");
        }
    });
}

#[test]
fn token_servers_that_talk_nonsense_are_told_of() {
    on_loopback("token_servers_that_talk_nonsense_are_told_of", async || {
        let answers: [Case; 5] = [
            (|| Answer::ok("<html>"), "expected value at line 1 column 1"),
            (|| Answer::ok("{}"), "authorization server did not include a token in the response"),
            (|| Answer::ok(r#"{"token":"a\nb: c"}"#), "failed to parse header value"),
            (|| Answer::new("500 Internal Server Error", ""), "received unexpected HTTP status: 500"),
            (|| Answer::ok(vec![b' '; 2 << 20]), "token is larger than 1048576 bytes"),
        ];
        for (answer, says) in answers {
            let fake = Fake::start(move |asked| {
                if asked.path.starts_with("/token") {
                    return answer();
                }
                let realm = format!("http://{}/token", asked.header("host").unwrap_or_default());
                let challenge = format!("Bearer realm=\"{realm}\",service=\"fake\"");
                match asked.path.as_str() {
                    "/v2/" => Answer::ok("{}"),
                    _ => Answer::new("401 Unauthorized", "").header("www-authenticate", challenge),
                }
            });
            let error = refusal(&hasty(MINUTE), request(&fake)).await;
            assert!(error.contains(says), "{error}");
        }
    });
}
