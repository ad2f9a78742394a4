//! `docker login`: trying credentials.

use super::{Error, RegistryAuth, Session, session, token};
use crate::{ImageStore, Reference, Result, reference::DEFAULT_DOMAIN};

/// The answer of `POST /auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `Login Succeeded`
    pub status: String,
    /// What a client keeps and sends in the place of the password; empty when the registry gives none.
    pub identity_token: String,
}

impl ImageStore {
    /// Tries the credentials on the registry they name (Docker Hub when they name none).
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for wrong ones.
    pub async fn login(&self, auth: &RegistryAuth) -> Result<Login> {
        let domain = domain_of(&auth.serveraddress);
        // Any repository does: only the root of the API is asked for.
        let reference = Reference::parse(&format!("{domain}/login/login"))?;
        let registries = self.inner.registries();
        let mut tries = registries.tries(&reference, Some(auth))?.without_mirrors();
        while let Some(session) = tries.next().await? {
            match session.try_credentials(auth).await {
                Ok(identity_token) => {
                    return Ok(Login { status: "Login Succeeded".to_owned(), identity_token });
                }
                Err(e) => tries.failed(e.into())?,
            }
        }
        Err(tries.into_error())
    }
}

/// The domain of what clients send: `https://index.docker.io/v1/`, `localhost:5000`, or nothing.
fn domain_of(server: &str) -> String {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    match rest.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_DOMAIN.to_owned(),
        host => host.to_owned(),
    }
}

impl Session {
    /// Asks for the root of the API with these credentials. Gives the identity token to be used from now on.
    async fn try_credentials(&self, auth: &RegistryAuth) -> Result<String, Error> {
        let url = self.endpoint().url("");
        let send = |authorization: Option<String>| {
            let request = self.client().get(&url);
            match authorization {
                Some(value) => request.header(reqwest::header::AUTHORIZATION, value),
                None => request,
            }
        };
        let failed = |e| super::transport("Get", &url, &e);
        let first = send(None).send().await.map_err(failed)?;
        if first.status().is_success() {
            return Ok(auth.identitytoken.clone());
        }
        let challenges = session::challenges(&first);
        let scopes = |asked: Option<&str>| asked.unwrap_or_default().to_owned();
        let wanted = token::Wanted { asked: ("Get", &url), scopes, auth: Some(auth), offline: true };
        let answer = token::answer(self.client(), &challenges, &wanted).await?;
        let second = send(Some(answer.authorization)).send().await.map_err(failed)?;
        if second.status().is_success() {
            return Ok(answer.refresh_token.unwrap_or_else(|| auth.identitytoken.clone()));
        }
        // Docker's words (moby `registry/auth.go`).
        Err(Error::Unauthorized {
            message: format!("login attempt to {url} failed with status: {}", second.status()),
        })
    }
}

#[cfg(test)]
mod tests;
