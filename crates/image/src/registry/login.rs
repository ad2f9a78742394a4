//! `docker login`: trying credentials.

use super::{Error, RegistryAuth, Session, session, token};
use crate::{ImageStore, Reference, Result, reference::DEFAULT_DOMAIN};

/// The answer of `POST /auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `Login Succeeded`
    pub status: String,
    /// Always empty: Lichen asks token servers for no refresh token, so the client keeps the password.
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
                Ok(()) => {
                    return Ok(Login { status: "Login Succeeded".to_owned(), identity_token: String::new() });
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
    /// Asks for the root of the API with these credentials.
    async fn try_credentials(&self, auth: &RegistryAuth) -> Result<(), Error> {
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
            return Ok(());
        }
        let challenges = session::challenges(&first);
        let scopes = |asked: Option<&str>| asked.unwrap_or_default().to_owned();
        let authorization =
            token::answer(self.client(), ("Get", &url), &challenges, scopes, Some(auth)).await?;
        let second = send(Some(authorization)).send().await.map_err(failed)?;
        if second.status().is_success() {
            return Ok(());
        }
        // Docker's words (moby `registry/auth.go`).
        Err(Error::Unauthorized {
            message: format!("login attempt to {url} failed with status: {}", second.status()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_domains() {
        assert_eq!(domain_of(""), "docker.io");
        assert_eq!(domain_of("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(domain_of("http://localhost:5000"), "localhost:5000");
        assert_eq!(domain_of("registry.lan/v2/"), "registry.lan");
    }
}
