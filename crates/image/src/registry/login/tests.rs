use super::*;
use crate::{
    fake::{Answer, Asked, Fake},
    lab::{Lab, block_on},
};
use std::collections::HashMap;

#[test]
fn servers_are_domains() {
    assert_eq!(domain_of(""), "docker.io");
    assert_eq!(domain_of("https://index.docker.io/v1/"), "docker.io");
    assert_eq!(domain_of("http://localhost:5000"), "localhost:5000");
    assert_eq!(domain_of("registry.lan/v2/"), "registry.lan");
}

fn on_loopback(name: &str, test: impl AsyncFnOnce()) {
    testing::in_userns(&format!("registry::login::tests::{name}"), || {
        sys::loopback::up().unwrap();
        block_on(test());
    });
}

/// `alice:secret`.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

/// A registry, and a token server that gives refresh tokens and takes them.
fn registry() -> Fake {
    Fake::start(|asked| {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        match (asked.method.as_str(), path) {
            ("GET", "/token") => by_password(asked, &pairs(query)),
            ("POST", "/token") => by_refresh_token(&pairs(&asked.form)),
            _ if asked.header("authorization") == Some("Bearer good") => match path {
                "/v2/" => Answer::ok("{}"),
                _ => Answer::new("404 Not Found", "{}"),
            },
            _ => {
                let realm = format!("http://{}/token", asked.header("host").unwrap_or_default());
                let challenge = format!("Bearer realm=\"{realm}\",service=\"lab\"");
                Answer::new("401 Unauthorized", "{}").header("www-authenticate", challenge)
            }
        }
    })
}

fn pairs(text: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn by_password(asked: &Asked, query: &HashMap<String, String>) -> Answer {
    if asked.header("authorization") != Some(ALICE) {
        return Answer::new("401 Unauthorized", r#"{"details":"incorrect username or password"}"#);
    }
    match (query["service"].as_str(), query.get("offline_token").map(String::as_str)) {
        ("lab", Some("true")) => Answer::ok(r#"{"token":"good","refresh_token":"kept"}"#),
        ("lab", None) => Answer::ok(r#"{"token":"good"}"#),
        other => panic!("{other:?}"),
    }
}

fn by_refresh_token(form: &HashMap<String, String>) -> Answer {
    assert_eq!((form["grant_type"].as_str(), form["client_id"].as_str()), ("refresh_token", "docker"));
    assert_eq!(form["service"], "lab");
    match form["refresh_token"].as_str() {
        "kept" => Answer::ok(r#"{"access_token":"good"}"#),
        _ => Answer::new(
            "400 Bad Request",
            r#"{"error":"invalid_grant","error_description":"the token was revoked"}"#,
        ),
    }
}

fn auth(fake: &Fake) -> RegistryAuth {
    RegistryAuth { serveraddress: fake.host.clone(), ..RegistryAuth::default() }
}

fn with_password(fake: &Fake, password: &str) -> RegistryAuth {
    RegistryAuth { username: "alice".to_owned(), password: password.to_owned(), ..auth(fake) }
}

fn with_token(fake: &Fake, token: &str) -> RegistryAuth {
    RegistryAuth { username: "<token>".to_owned(), identitytoken: token.to_owned(), ..auth(fake) }
}

#[test]
fn a_login_is_answered_with_an_identity_token_where_the_registry_gives_one() {
    on_loopback("a_login_is_answered_with_an_identity_token_where_the_registry_gives_one", async || {
        let (fake, lab) = (registry(), Lab::new());
        let login = lab.store.login(&with_password(&fake, "secret")).await.unwrap();
        assert_eq!((login.status.as_str(), login.identity_token.as_str()), ("Login Succeeded", "kept"));
        let again = lab.store.login(&with_token(&fake, "kept")).await.unwrap();
        assert_eq!(again, login, "the token stays the one to use");
        assert_eq!(fake.asked("/token").iter().filter(|asked| asked.method == "POST").count(), 1);
    });
}

#[test]
fn an_identity_token_is_sent_for_the_scope_that_is_needed() {
    on_loopback("an_identity_token_is_sent_for_the_scope_that_is_needed", async || {
        let (fake, lab) = (registry(), Lab::new());
        let request = crate::PullRequest {
            reference: Reference::parse(&format!("{}/team/app", fake.host)).unwrap(),
            all_tags: false,
            platform: None,
            auth: Some(with_token(&fake, "kept")),
        };
        let error = lab.store.pull(request, crate::Progress::none()).await.unwrap_err().to_string();
        assert!(error.contains("manifest unknown"), "let in, to an empty registry: {error}");
        let asked = fake.asked("/token");
        assert!(asked.iter().all(|asked| asked.method == "POST"), "no password is made of it: {asked:?}");
        assert_eq!(pairs(&asked.last().unwrap().form)["scope"], "repository:team/app:pull");
    });
}

#[test]
fn refused_credentials_are_told_in_the_token_servers_words() {
    on_loopback("refused_credentials_are_told_in_the_token_servers_words", async || {
        let (fake, lab) = (registry(), Lab::new());
        for (auth, reason) in [
            (with_password(&fake, "wrong"), "incorrect username or password"),
            (with_token(&fake, "old"), "the token was revoked"),
        ] {
            let error = lab.store.login(&auth).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("Get \"http://{}/v2/\": unauthorized: {reason}", fake.host)
            );
            assert_eq!(error.kind(), model::ErrorKind::Unauthorized);
        }
    });
}
