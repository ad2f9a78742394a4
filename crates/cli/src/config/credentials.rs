//! Registry credentials: in config.json, or kept by a `docker-credential-*` program.
//!
//! The programs' protocol is documented at <https://github.com/docker/docker-credential-helpers>: one word as argument,
//! the registry or a JSON object on stdin, JSON on stdout.

use std::io::Write as _;
use std::process::{Command, Stdio};

use api_types::AuthConfig;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, StoredAuth};

/// The key under which Docker Hub's credentials are kept.
pub const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What programs say when they have nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user name that marks an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HelperCredentials {
    #[serde(rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

/// The registry that an image's name begins with.
pub fn registry_of(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => DOCKER_HUB.into(),
            host => host.into(),
        },
        _ => DOCKER_HUB.into(),
    }
}

/// The key for a registry as the user names it at login.
pub fn login_key(server: &str) -> String {
    let host = server.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    match host {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.into(),
        host => host.into(),
    }
}

/// The header that carries credentials to the engine.
pub fn encode(auth: &AuthConfig) -> String {
    match serde_json::to_vec(auth) {
        Ok(json) => URL_SAFE.encode(json),
        Err(_) => String::new(),
    }
}

impl Config {
    fn helper(&self, registry: &str) -> Option<String> {
        let own = self.file.cred_helpers.get(registry);
        let suffix = own.unwrap_or(&self.file.creds_store);
        (!suffix.is_empty()).then(|| format!("docker-credential-{suffix}"))
    }

    /// What is known for a registry; empty when nothing is.
    pub fn credentials(&self, registry: &str) -> Result<AuthConfig, ConfigError> {
        let empty = AuthConfig { server_address: registry.to_owned(), ..AuthConfig::default() };
        if let Some(program) = self.helper(registry) {
            let answer = match call(&program, "get", registry.as_bytes()) {
                Ok(answer) => answer,
                Err(ConfigError::Helper { message, .. }) if message == NOT_FOUND => return Ok(empty),
                Err(error) => return Err(error),
            };
            let found: HelperCredentials = serde_json::from_slice(&answer)
                .map_err(|error| ConfigError::Helper { program, message: error.to_string() })?;
            return Ok(match found.username.as_str() {
                TOKEN_USER => AuthConfig { identity_token: found.secret, ..empty },
                _ => AuthConfig { username: found.username, password: found.secret, ..empty },
            });
        }
        let host = |key: &str| {
            let bare = key.trim_start_matches("https://").trim_start_matches("http://");
            bare.split('/').next().unwrap_or_default().to_owned()
        };
        let stored = self.file.auths.get(registry).or_else(|| {
            self.file.auths.iter().find(|(key, _)| host(key) == host(registry)).map(|(_, stored)| stored)
        });
        Ok(stored.map_or(empty.clone(), |stored| decode(stored, empty)))
    }

    pub fn store_credentials(&mut self, auth: &AuthConfig) -> Result<(), ConfigError> {
        let registry = auth.server_address.clone();
        if let Some(program) = self.helper(&registry) {
            let (username, secret) = match auth.identity_token.as_str() {
                "" => (auth.username.clone(), auth.password.clone()),
                token => (TOKEN_USER.into(), token.to_owned()),
            };
            let entry = HelperCredentials { server_url: registry.clone(), username, secret };
            let json = serde_json::to_vec(&entry).map_err(|error| ConfigError::Helper {
                program: program.clone(),
                message: error.to_string(),
            })?;
            call(&program, "store", &json)?;
            // docker keeps an empty entry, so that `auths` lists what one is logged in to.
            self.file.auths.insert(registry, StoredAuth::default());
            return self.save();
        }
        let stored = StoredAuth {
            auth: match auth.username.as_str() {
                "" => String::new(),
                user => STANDARD.encode(format!("{user}:{}", auth.password)),
            },
            identitytoken: auth.identity_token.clone(),
            registrytoken: auth.registry_token.clone(),
        };
        self.file.auths.insert(registry, stored);
        self.save()
    }

    pub fn erase_credentials(&mut self, registry: &str) -> Result<(), ConfigError> {
        if let Some(program) = self.helper(registry) {
            match call(&program, "erase", registry.as_bytes()) {
                Err(ConfigError::Helper { message, .. }) if message == NOT_FOUND => {}
                other => drop(other?),
            }
        }
        self.file.auths.remove(registry);
        self.save()
    }

    /// Credentials for pulling or pushing an image, ready for the `X-Registry-Auth` header.
    pub fn auth_header(&self, image: &str) -> Result<String, ConfigError> {
        self.credentials(&registry_of(image)).map(|auth| encode(&auth))
    }
}

fn decode(stored: &StoredAuth, empty: AuthConfig) -> AuthConfig {
    let pair = STANDARD
        .decode(&stored.auth)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    let (username, password) = pair.split_once(':').unwrap_or_default();
    AuthConfig {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
        identity_token: stored.identitytoken.clone(),
        registry_token: stored.registrytoken.clone(),
        ..empty
    }
}

fn call(program: &str, verb: &str, input: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let fail = |message: String| ConfigError::Helper { program: program.to_owned(), message };
    let mut child = Command::new(program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| fail(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).map_err(|error| fail(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| fail(error.to_string()))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(fail(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries() {
        assert_eq!(registry_of("alpine"), DOCKER_HUB);
        assert_eq!(registry_of("me/app:1"), DOCKER_HUB);
        assert_eq!(registry_of("localhost/app"), "localhost");
        assert_eq!(registry_of("127.0.0.1:5000/app"), "127.0.0.1:5000");
        assert_eq!(login_key("https://r.example/v2/"), "r.example");
        assert_eq!(login_key(""), DOCKER_HUB);
    }

    #[test]
    fn stored_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(dir.path().to_owned()).unwrap();
        let auth = AuthConfig {
            username: "u".into(),
            password: "p:w".into(),
            server_address: "r.example".into(),
            ..AuthConfig::default()
        };
        config.store_credentials(&auth).unwrap();
        let config = Config::load(dir.path().to_owned()).unwrap();
        let found = config.credentials("r.example").unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("u", "p:w"));
        assert_eq!(config.credentials("other").unwrap().username, "");
    }

    #[test]
    fn kept_by_a_program() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("docker-credential-t");
        let script = "#!/bin/sh\nread server\ntest \"$server\" = known || { echo 'credentials not found in native keychain'; exit 1; }\necho '{\"Username\":\"<token>\",\"Secret\":\"s\"}'\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = call(program.to_str().unwrap(), "get", b"known\n").unwrap();
        assert!(String::from_utf8(found).unwrap().contains("<token>"));
        let error = call(program.to_str().unwrap(), "get", b"other\n").unwrap_err();
        assert!(error.to_string().ends_with(NOT_FOUND));
    }
}
