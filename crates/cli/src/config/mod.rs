//! The client's own files, shared with docker's client: config.json and the store of contexts.

pub mod contexts;
pub mod credentials;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{operation} {}: {}", path.display(), crate::error::cause(source))]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("error loading config file: {}: {source}", path.display())]
    Syntax { path: PathBuf, source: serde_json::Error },
    #[error(
        "context {name:?}: context not found: open {}: no such file or directory", meta.display()
    )]
    NoContext { name: String, meta: PathBuf },
    #[error("{0}")]
    Context(String),
    #[error("error getting credentials - {program}: {message}")]
    Helper { program: String, message: String },
}

/// One entry of `auths`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredAuth {
    /// base64 of `user:password`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identitytoken: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub registrytoken: String,
}

/// Proxy settings that new containers inherit as environment variables.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub http_proxy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub https_proxy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ftp_proxy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub all_proxy: String,
}

/// config.json. Keys that only docker's own client knows are kept as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigFile {
    pub auths: BTreeMap<String, StoredAuth>,
    #[serde(rename = "HttpHeaders", skip_serializing_if = "BTreeMap::is_empty")]
    pub http_headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub creds_store: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cred_helpers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detach_keys: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxies: BTreeMap<String, Proxy>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_context: String,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// The configuration directory and what its config.json says.
#[derive(Debug, Default)]
pub struct Config {
    pub dir: PathBuf,
    pub file: ConfigFile,
}

/// `--config`, `DOCKER_CONFIG`, or `~/.docker`.
pub fn directory(flag: Option<&str>) -> PathBuf {
    let from_env = || std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    flag.map(PathBuf::from).or_else(from_env).unwrap_or_else(|| home().join(".docker"))
}

pub fn home() -> PathBuf {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

impl Config {
    /// A missing file is an empty configuration.
    pub fn load(dir: PathBuf) -> Result<Self, ConfigError> {
        let path = dir.join("config.json");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { dir, ..Self::default() });
            }
            Err(source) => return Err(ConfigError::File { operation: "open", path, source }),
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { dir, ..Self::default() });
        }
        let file = serde_json::from_slice(&text).map_err(|source| ConfigError::Syntax { path, source })?;
        Ok(Self { dir, file })
    }

    /// Replaces config.json whole, so that a crash leaves the old or the new one. Credentials may be inside: mode 0600.
    pub fn save(&self) -> Result<(), ConfigError> {
        let path = self.dir.join("config.json");
        let mut text = serde_json::to_string_pretty(&self.file)
            .map_err(|source| ConfigError::Syntax { path: path.clone(), source })?
            .replace("\n  ", "\n\t");
        // Go indents with tabs; nested levels follow.
        while text.contains("\t  ") {
            text = text.replace("\t  ", "\t\t");
        }
        // A link to a file elsewhere (dotfile managers) stays a link.
        let target = std::fs::canonicalize(&path).unwrap_or(path);
        write_private(&target, text.as_bytes())
    }

    /// A default template, such as `psFormat`.
    pub fn default_format(&self, key: &str) -> String {
        self.file.rest.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Writes a file readable only by its owner, atomically.
pub(crate) fn write_private(path: &Path, data: &[u8]) -> Result<(), ConfigError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let fail = |operation| move |source| ConfigError::File { operation, path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(fail("mkdir"))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(name);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(fail("create"))?;
    file.write_all(data).map_err(fail("write"))?;
    std::fs::rename(&temporary, path).map_err(fail("rename"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_survive_a_rewrite() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"auths":{"r:5000":{"auth":"dTpw"}},"psFormat":"{{.ID}}","plugins":{"x":{"y":"z"}},"currentContext":"a"}"#;
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        let mut config = Config::load(dir.path().to_owned()).unwrap();
        assert_eq!(config.default_format("psFormat"), "{{.ID}}");
        config.file.current_context = String::new();
        config.save().unwrap();
        let saved = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
        let value: Value = serde_json::from_str(&saved).unwrap();
        assert_eq!(value["plugins"]["x"]["y"], "z");
        assert_eq!(value["auths"]["r:5000"]["auth"], "dTpw");
        assert!(value.get("currentContext").is_none());
    }

    #[test]
    fn a_broken_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), "{").unwrap();
        let error = Config::load(dir.path().to_owned()).unwrap_err().to_string();
        assert!(error.contains("config.json"), "{error}");
    }
}
