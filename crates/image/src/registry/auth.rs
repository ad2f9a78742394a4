//! Credentials as clients send them: `X-Registry-Auth`, base64url of JSON.

use base64::{Engine, engine::general_purpose};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Credentials for one registry (`registry.AuthConfig`).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "lowercase")]
pub struct RegistryAuth {
    pub username: String,
    pub password: String,
    /// base64 of `username:password`, as in `config.json`.
    pub auth: String,
    pub serveraddress: String,
    /// An OAuth2 refresh token in place of a password.
    pub identitytoken: String,
    /// A bearer token, used as it is.
    pub registrytoken: String,
}

/// The header is not base64url of a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid X-Registry-Auth header: {0}")]
pub struct InvalidAuth(pub String);

impl RegistryAuth {
    /// From `X-Registry-Auth`. An empty header means anonymous.
    pub fn from_header(header: &str) -> Result<Option<Self>, InvalidAuth> {
        let auth: Self = decode(header)?.unwrap_or_default();
        Ok((!auth.is_anonymous()).then_some(auth))
    }

    /// From `X-Registry-Config`: credentials by registry (build).
    pub fn from_config_header(header: &str) -> Result<HashMap<String, Self>, InvalidAuth> {
        Ok(decode(header)?.unwrap_or_default())
    }

    /// User name and password, whichever way they were given.
    pub fn basic(&self) -> Option<(String, String)> {
        if !self.username.is_empty() {
            return Some((self.username.clone(), self.password.clone()));
        }
        let pair = String::from_utf8(general_purpose::STANDARD.decode(&self.auth).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some((user.to_owned(), password.trim_end_matches('\0').to_owned())).filter(|(u, _)| !u.is_empty())
    }

    pub fn is_anonymous(&self) -> bool {
        self.identitytoken.is_empty() && self.registrytoken.is_empty() && self.basic().is_none()
    }
}

fn decode<T: serde::de::DeserializeOwned>(header: &str) -> Result<Option<T>, InvalidAuth> {
    let text = header.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // Clients pad or not, and some use the other alphabet.
    let text: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    let json = general_purpose::URL_SAFE_NO_PAD.decode(text).map_err(|e| InvalidAuth(e.to_string()))?;
    serde_json::from_slice(&json).map(Some).map_err(|e| InvalidAuth(e.to_string()))
}

impl std::fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryAuth({}, {})", self.username, self.serveraddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_all_clients_are_read() {
        let json = br#"{"username":"u?>","password":"p","serveraddress":"localhost:5000"}"#;
        for encoded in [general_purpose::URL_SAFE.encode(json), general_purpose::STANDARD.encode(json)] {
            let auth = RegistryAuth::from_header(&encoded).unwrap().unwrap();
            assert_eq!(auth.basic(), Some(("u?>".to_owned(), "p".to_owned())));
        }
        let joined = general_purpose::URL_SAFE.encode(br#"{"auth":"dTpwOng="}"#);
        let auth = RegistryAuth::from_header(&joined).unwrap().unwrap();
        assert_eq!(auth.basic(), Some(("u".to_owned(), "p:x".to_owned())));
        for anonymous in ["", "e30=", "e30"] {
            assert_eq!(RegistryAuth::from_header(anonymous), Ok(None));
        }
        for bad in ["!", "bm8="] {
            assert!(RegistryAuth::from_header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_stay_out_of_logs() {
        let auth = RegistryAuth {
            password: "secret".into(),
            identitytoken: "secret".into(),
            ..RegistryAuth::default()
        };
        assert!(!format!("{auth:?}").contains("secret"));
    }
}
