//! Answering challenges: Basic, and Bearer tokens from the registry's token server.

use super::{Error, RegistryAuth, challenge::Challenge, session::body, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;

/// Name this program has at token servers.
const CLIENT_ID: &str = "docker";
const TOKEN_MAX: u64 = 1 << 20;

/// What to send, and what came with it.
pub(super) struct Answer {
    /// The `Authorization` header.
    pub authorization: String,
    /// A token server's, which is as good as the credentials from now on.
    pub refresh_token: Option<String>,
}

/// What is asked of token servers.
pub(super) struct Wanted<'a, F> {
    /// The request that met the challenges.
    pub asked: (&'static str, &'a str),
    /// The scopes, where a challenge names this.
    pub scopes: F,
    pub auth: Option<&'a RegistryAuth>,
    /// Whether a refresh token is wanted: for a login.
    pub offline: bool,
}

/// The answer to one of the challenges.
pub(super) async fn answer<F: Fn(Option<&str>) -> String>(
    client: &Client,
    challenges: &[Challenge],
    wanted: &Wanted<'_, F>,
) -> Result<Answer, Error> {
    let answered = |authorization| Answer { authorization, refresh_token: None };
    if let Some(token) = wanted.auth.map(|a| &a.registrytoken).filter(|t| !t.is_empty()) {
        return Ok(answered(format!("Bearer {token}")));
    }
    for challenge in challenges {
        if let Challenge::Bearer { realm, service, scope } = challenge {
            let scope = (wanted.scopes)(scope.as_deref());
            let ask = Ask { realm, service: service.as_deref(), scope: &scope, offline: wanted.offline };
            let token = ask.fetch(client, wanted.asked, wanted.auth).await?;
            return Ok(Answer {
                authorization: format!("Bearer {}", token.given()),
                refresh_token: Some(token.refresh_token).filter(|token| !token.is_empty()),
            });
        }
    }
    let (method, url) = wanted.asked;
    if challenges.contains(&Challenge::Basic) {
        let Some((user, password)) = wanted.auth.and_then(RegistryAuth::basic) else {
            return Err(Error::NoCredentials { method, url: url.to_owned() });
        };
        return Ok(answered(basic(&user, &password)));
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

#[derive(Deserialize, Default)]
#[serde(default)]
struct Token {
    token: String,
    access_token: String,
    refresh_token: String,
}

impl Token {
    /// Servers give the token by either name, or by both (distribution `docs/spec/auth/token.md`).
    fn given(&self) -> &str {
        if self.token.is_empty() { &self.access_token } else { &self.token }
    }
}

/// One question to a token server.
struct Ask<'a> {
    realm: &'a str,
    service: Option<&'a str>,
    scope: &'a str,
    offline: bool,
}

impl Ask<'_> {
    /// A token, anonymous without credentials (distribution `docs/spec/auth/token.md`, and `oauth.md` for identity
    /// tokens).
    async fn fetch(
        &self,
        client: &Client,
        asked: (&'static str, &str),
        auth: Option<&RegistryAuth>,
    ) -> Result<Token, Error> {
        let identity = auth.map(|a| a.identitytoken.as_str()).filter(|t| !t.is_empty());
        let (method, request) = match identity {
            Some(identity) => ("Post", self.refresh(client, identity)),
            None => ("Get", self.plain(client, auth)),
        };
        let realm = self.realm;
        let response = request.send().await.map_err(|e| text::transport(method, realm, &e))?;
        let status = response.status();
        let refused =
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST);
        if refused && auth.is_some() {
            let said = body(response, method, realm, "error", TOKEN_MAX).await.unwrap_or_default();
            let (method, url) = (asked.0, asked.1.to_owned());
            return Err(Error::Refused { method, url, message: Refusal::message(&said) });
        }
        if !status.is_success() {
            let (url, status) = (realm.to_owned(), status.to_string());
            return Err(Error::Status { method, url, status, detail: String::new(), retry_after: None });
        }
        let bytes = body(response, method, realm, "token", TOKEN_MAX).await?;
        let answer = |source| Error::Answer { method, url: realm.to_owned(), source };
        let token: Token = serde_json::from_slice(&bytes).map_err(answer)?;
        match token.given() {
            "" => Err(Error::NoToken { url: realm.to_owned() }),
            _ => Ok(token),
        }
    }

    fn plain(&self, client: &Client, auth: Option<&RegistryAuth>) -> RequestBuilder {
        let mut request = client.get(self.realm);
        if let Some(service) = self.service {
            request = request.query(&[("service", service)]);
        }
        for one in self.scope.split(' ').filter(|s| !s.is_empty()) {
            request = request.query(&[("scope", one)]);
        }
        if self.offline {
            request = request.query(&[("offline_token", "true"), ("client_id", CLIENT_ID)]);
        }
        if let Some((user, password)) = auth.and_then(RegistryAuth::basic) {
            request = request.query(&[("account", &user)]).basic_auth(user, Some(password));
        }
        request
    }

    fn refresh(&self, client: &Client, identity: &str) -> RequestBuilder {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", identity),
            ("service", self.service.unwrap_or_default()),
            ("scope", self.scope),
            ("client_id", CLIENT_ID),
        ];
        client.post(self.realm).form(&form)
    }
}

/// Why a token server gives no token: as Docker Hub says it, as the distribution-spec does, or as OAuth (RFC 6749, 5.2).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    details: String,
    errors: Vec<Reason>,
    error_description: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reason {
    message: String,
}

impl Refusal {
    fn message(body: &[u8]) -> String {
        let refusal: Self = serde_json::from_slice(body).unwrap_or_default();
        let reasons = refusal.errors.into_iter().map(|reason| reason.message);
        let mut said = std::iter::once(refusal.details).chain(reasons).chain([refusal.error_description]);
        // It becomes part of a line.
        let said = said.find(|text| !text.is_empty() && !text.contains(char::is_control));
        said.unwrap_or_else(|| "authentication required".to_owned())
    }
}
