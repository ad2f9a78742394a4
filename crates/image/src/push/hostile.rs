//! Pushes to registries that misbehave, and to one behind a token server.

use super::*;
use crate::{
    RegistryConfig,
    fake::{Answer, Fake},
    lab::{Heard, Lab, block_on, docker_archive, layer},
    pull::lab::{Registry, Setup, TokenServer},
    registry::Patience,
};
use std::time::Duration;

fn on_loopback(name: &str, test: impl AsyncFnOnce()) {
    testing::in_userns(&format!("push::hostile::{name}"), || {
        sys::loopback::up().unwrap();
        block_on(test());
    });
}

fn request(reference: &str, auth: Option<RegistryAuth>) -> PushRequest {
    PushRequest { reference: Reference::parse(reference).unwrap(), all_tags: false, platform: None, auth }
}

/// A store with one image, of that name.
fn hasty(silence: Duration, name: &str) -> Lab {
    let patience = Patience { silence, retry: Duration::from_millis(1) };
    let lab = Lab::with("vfs", RegistryConfig { patience, ..RegistryConfig::default() });
    let text = "not very compressible? ".repeat(3000);
    lab.load(&docker_archive(&[(&[layer(&[("file", &text)])], &[name])])).unwrap();
    lab
}

/// What is answered, and what is said of it.
type Case = (fn() -> Answer, &'static str);

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_push_gets_the_tokens_it_needs() {
    on_loopback("a_push_gets_the_tokens_it_needs", async || {
        let tokens = TokenServer::start();
        let registry = Registry::with(&Setup { tokens: Some(tokens.realm()), ..Setup::default() });
        let name = format!("{}/team/app:v1", registry.host);
        let lab = hasty(MINUTE, &name);
        let alice = |password: &str| {
            Some(RegistryAuth {
                username: "alice".into(),
                password: password.into(),
                ..RegistryAuth::default()
            })
        };
        let push = |name: &str, auth| lab.store.push(request(name, auth), Progress::none());
        let anonymous = push(&name, None).await.unwrap_err();
        assert_eq!(anonymous.kind(), model::ErrorKind::Unauthorized, "{anonymous}");
        let wrong = push(&name, alice("wrong")).await.unwrap_err().to_string();
        assert!(wrong.ends_with("/blobs/uploads/\": unauthorized: authentication required"), "{wrong}");
        let pushed = push(&name, alice("secret")).await.unwrap();
        assert!(tokens.granted().contains(&"repository:team/app:pull,push".to_owned()));

        // The next repository has the layer mounted from the first, which its token must allow to be read.
        let other = format!("{}/team/other:v1", registry.host);
        lab.store.tag(&name, &other.parse().unwrap()).unwrap();
        let heard = Heard::default();
        lab.store.push(request(&other, alice("secret")), heard.progress()).await.unwrap();
        assert!(heard.texts().contains(&"Mounted from team/app".to_owned()), "{:?}", heard.texts());
        for scope in ["repository:team/other:pull,push", "repository:team/app:pull"] {
            assert!(tokens.granted().contains(&scope.to_owned()), "{scope} in {:?}", tokens.granted());
        }

        let request = crate::PullRequest {
            reference: other.parse().unwrap(),
            all_tags: false,
            platform: None,
            auth: alice("secret"),
        };
        let pulled = Lab::new().store.pull(request, Progress::none()).await.unwrap();
        assert_eq!(pulled[0].digest, pushed[0].digest);
    });
}

#[test]
fn a_registry_that_takes_a_blob_and_says_nothing_is_given_up() {
    on_loopback("a_registry_that_takes_a_blob_and_says_nothing_is_given_up", async || {
        let fake = Fake::start(|asked| match asked.method.as_str() {
            "POST" => Answer::new("202 Accepted", "").header("location", "/v2/app/blobs/uploads/1"),
            "PATCH" => Answer::new("202 Accepted", "").stalling(),
            "GET" if asked.path == "/v2/" => Answer::ok("{}"),
            "GET" => Answer::new("204 No Content", "").header("range", "0-0"),
            "DELETE" => Answer::new("204 No Content", ""),
            _ => Answer::new("404 Not Found", ""),
        });
        let name = format!("{}/app:v1", fake.host);
        let lab = hasty(Duration::from_millis(500), &name);
        let error = lab.store.push(request(&name, None), Progress::none()).await.unwrap_err().to_string();
        assert!(error.starts_with("Patch \"http://"), "{error}");
        assert!(error.ends_with("the registry took and said nothing for 1 seconds"), "{error}");
        assert!(lab.store.resolve(&name).is_ok());
        lab.assert_tidy();
    });
}

#[test]
fn uploads_that_lead_nowhere_are_told_of() {
    on_loopback("uploads_that_lead_nowhere_are_told_of", async || {
        let answers: [Case; 4] = [
            (|| Answer::new("202 Accepted", ""), "the registry does not say where to send the blob"),
            (
                || Answer::new("202 Accepted", "").header("location", "file:///etc/passwd"),
                "which is no place to send it to",
            ),
            (
                || Answer::new("403 Forbidden", r#"{"errors":[{"code":"DENIED","message":"read-only"}]}"#),
                "denied: read-only",
            ),
            (|| Answer::ok(""), "received unexpected HTTP status: 200 OK"),
        ];
        for (answer, says) in answers {
            let fake = Fake::start(move |asked| match asked.method.as_str() {
                "POST" => answer(),
                "GET" => Answer::ok("{}"),
                _ => Answer::new("404 Not Found", ""),
            });
            let name = format!("{}/app:v1", fake.host);
            let lab = hasty(MINUTE, &name);
            let error = lab.store.push(request(&name, None), Progress::none()).await.unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
            assert_eq!(fake.asked("/manifests/").len(), 0, "no tag without its blobs");
        }
    });
}

#[test]
fn a_registry_that_has_the_manifest_by_another_digest_is_found_out() {
    on_loopback("a_registry_that_has_the_manifest_by_another_digest_is_found_out", async || {
        let other = crate::chain::digest_of(b"something else");
        let fake = Fake::start(move |asked| match asked.method.as_str() {
            "POST" | "PATCH" => Answer::new("202 Accepted", "").header("location", "/v2/app/blobs/uploads/1"),
            "PUT" => Answer::new("201 Created", "").header("docker-content-digest", &other),
            _ => Answer::ok(""),
        });
        let name = format!("{}/app:v1", fake.host);
        let lab = hasty(MINUTE, &name);
        let error = lab.store.push(request(&name, None), Progress::none()).await.unwrap_err().to_string();
        assert!(error.starts_with("manifest verification failed for digest sha256:"), "{error}");
    });
}
