//! Answering challenges: Basic, and Bearer tokens from the registry's token server.

use super::{Error, RegistryAuth, challenge::Challenge, session::body, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;

/// Name this program has at token servers.
const CLIENT_ID: &str = "docker";
const TOKEN_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// The `Authorization` header that answers one of the challenges. `asked` is the request that met them; `scopes` says
/// what to ask for where a challenge names this.
pub(super) async fn answer(
    client: &Client,
    asked: (&'static str, &str),
    challenges: &[Challenge],
    scopes: impl Fn(Option<&str>) -> String,
    auth: Option<&RegistryAuth>,
) -> Result<String, Error> {
    if let Some(token) = auth.map(|a| &a.registrytoken).filter(|t| !t.is_empty()) {
        return Ok(format!("Bearer {token}"));
    }
    for challenge in challenges {
        if let Challenge::Bearer { realm, service, scope: asked_scope } = challenge {
            let scopes = scopes(asked_scope.as_deref());
            return fetch(client, realm, service.as_deref(), &scopes, auth)
                .await
                .map(|t| format!("Bearer {t}"));
        }
    }
    let (method, url) = asked;
    if challenges.contains(&Challenge::Basic) {
        let Some((user, password)) = auth.and_then(RegistryAuth::basic) else {
            return Err(Error::NoCredentials { method, url: url.to_owned() });
        };
        return Ok(basic(&user, &password));
    }
    let schemes = challenges.iter().filter_map(|c| match c {
        Challenge::Other(scheme) => Some(scheme.clone()),
        _ => None,
    });
    Err(Error::Challenge { method, url: url.to_owned(), schemes: schemes.collect() })
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A token for `scope`, anonymous without credentials (distribution `docs/spec/auth/token.md`, and `oauth.md` for
/// identity tokens).
async fn fetch(
    client: &Client,
    realm: &str,
    service: Option<&str>,
    scope: &str,
    auth: Option<&RegistryAuth>,
) -> Result<String, Error> {
    let identity = auth.map(|a| a.identitytoken.as_str()).filter(|t| !t.is_empty());
    let (method, request) = match identity {
        Some(identity) => ("Post", refresh(client, realm, service, scope, identity)),
        None => ("Get", plain(client, realm, service, scope, auth)),
    };
    let response = request.send().await.map_err(|e| text::transport(method, realm, &e))?;
    let status = response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST)
        && auth.is_some()
    {
        return Err(Error::Unauthorized { message: "incorrect username or password".to_owned() });
    }
    if !status.is_success() {
        let (url, status) = (realm.to_owned(), status.to_string());
        return Err(Error::Status { method, url, status, detail: String::new() });
    }
    let bytes = body(response, method, realm, "token", TOKEN_MAX).await?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|source| Error::Answer {
        method,
        url: realm.to_owned(),
        source,
    })?;
    Ok(if token.token.is_empty() { token.access_token } else { token.token })
}

fn plain(
    client: &Client,
    realm: &str,
    service: Option<&str>,
    scope: &str,
    auth: Option<&RegistryAuth>,
) -> RequestBuilder {
    let mut request = client.get(realm);
    if let Some(service) = service {
        request = request.query(&[("service", service)]);
    }
    for one in scope.split(' ').filter(|s| !s.is_empty()) {
        request = request.query(&[("scope", one)]);
    }
    if let Some((user, password)) = auth.and_then(RegistryAuth::basic) {
        request = request.query(&[("account", &user)]).basic_auth(user, Some(password));
    }
    request
}

fn refresh(
    client: &Client,
    realm: &str,
    service: Option<&str>,
    scope: &str,
    identity: &str,
) -> RequestBuilder {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", identity),
        ("service", service.unwrap_or_default()),
        ("scope", scope),
        ("client_id", CLIENT_ID),
    ];
    client.post(realm).form(&form)
}
