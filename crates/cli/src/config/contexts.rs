//! docker's store of contexts: `contexts/meta/SHA256-OF-NAME/meta.json`, and TLS files beside it.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ConfigError, write_private};

/// The context that means "as the environment says"; it is not in the store.
pub const DEFAULT: &str = "default";

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Context {
    pub name: String,
    pub metadata: Metadata,
    pub endpoints: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(rename = "SkipTLSVerify")]
    pub skip_tls_verify: bool,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Context {
    /// The endpoint of the engine.
    pub fn docker(&self) -> Endpoint {
        self.endpoints.get("docker").cloned().unwrap_or_default()
    }
}

/// One file of a context's TLS material: `tls/ENDPOINT/NAME` in an exported archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFile {
    pub endpoint: String,
    pub name: String,
    pub data: Vec<u8>,
}

pub struct Contexts {
    root: PathBuf,
}

fn digest(name: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a context may be called so.
pub fn check_name(name: &str) -> Result<(), ConfigError> {
    let fail = |text: String| Err(ConfigError::Context(text));
    if name.is_empty() {
        return fail("context name cannot be empty".into());
    }
    if name == DEFAULT {
        return fail("\"default\" is a reserved context name".into());
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    if name.len() < 2 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(valid) {
        return fail(format!(
            "context name \"{name}\" is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        ));
    }
    Ok(())
}

impl Contexts {
    pub fn new(config_dir: &Path) -> Self {
        Self { root: config_dir.join("contexts") }
    }

    fn meta(&self, name: &str) -> PathBuf {
        self.root.join("meta").join(digest(name)).join("meta.json")
    }

    /// Where a context's TLS files are: `ca.pem`, `cert.pem`, `key.pem`.
    pub fn tls_dir(&self, name: &str) -> PathBuf {
        self.root.join("tls").join(digest(name)).join("docker")
    }

    /// Whether any TLS material is kept for it.
    pub fn has_tls(&self, name: &str) -> bool {
        self.tls_dir(name).is_dir()
    }

    pub fn storage(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.root.join("meta").join(digest(name)), self.root.join("tls").join(digest(name)))
    }

    pub fn get(&self, name: &str) -> Result<Context, ConfigError> {
        let path = self.meta(name);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|source| ConfigError::Syntax { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ConfigError::NoContext { name: name.to_owned(), meta: path })
            }
            Err(source) => Err(ConfigError::File { operation: "open", path, source }),
        }
    }

    /// All stored contexts, by name.
    pub fn list(&self) -> Result<Vec<Context>, ConfigError> {
        let dir = self.root.join("meta");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ConfigError::File { operation: "open", path: dir, source }),
        };
        let mut contexts = Vec::new();
        for entry in entries {
            let entry =
                entry.map_err(|source| ConfigError::File { operation: "read", path: dir.clone(), source })?;
            let path = entry.path().join("meta.json");
            let Ok(text) = std::fs::read(&path) else { continue };
            let context: Context =
                serde_json::from_slice(&text).map_err(|source| ConfigError::Syntax { path, source })?;
            contexts.push(context);
        }
        contexts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(contexts)
    }

    pub fn save(&self, context: &Context) -> Result<(), ConfigError> {
        let path = self.meta(&context.name);
        let text = serde_json::to_vec(context)
            .map_err(|source| ConfigError::Syntax { path: path.clone(), source })?;
        write_private(&path, &text)
    }

    /// All TLS files kept for a context, by endpoint and name.
    pub fn tls(&self, name: &str) -> Result<Vec<TlsFile>, ConfigError> {
        let (_, root) = self.storage(name);
        let mut files = Vec::new();
        for endpoint in names(&root)? {
            for file in names(&root.join(&endpoint))? {
                let path = root.join(&endpoint).join(&file);
                let data = std::fs::read(&path).map_err(|source| ConfigError::File {
                    operation: "open",
                    path,
                    source,
                })?;
                files.push(TlsFile { endpoint: endpoint.clone(), name: file, data });
            }
        }
        Ok(files)
    }

    /// Keeps these TLS files for a context, and no others.
    pub fn replace_tls(&self, name: &str, files: &[TlsFile]) -> Result<(), ConfigError> {
        let (_, root) = self.storage(name);
        remove_tree(&root)?;
        files.iter().try_for_each(|file| {
            let dir = root.join(&file.endpoint);
            // The directories tell what they hold: keys.
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(&dir).map_err(|source| ConfigError::File {
                operation: "mkdir",
                path: dir.clone(),
                source,
            })?;
            write_private(&dir.join(&file.name), &file.data)
        })
    }

    pub fn remove(&self, name: &str) -> Result<(), ConfigError> {
        self.get(name)?;
        let (meta, tls) = self.storage(name);
        remove_tree(&meta)?;
        remove_tree(&tls)
    }
}

fn remove_tree(path: &Path) -> Result<(), ConfigError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(ConfigError::File { operation: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// What is in a directory, in order; nothing when it does not exist.
fn names(dir: &Path) -> Result<Vec<String>, ConfigError> {
    let fail = |source| ConfigError::File { operation: "read", path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_dockers() {
        let contexts = Contexts::new(Path::new("/c"));
        let expect =
            "/c/contexts/meta/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae/meta.json";
        assert_eq!(contexts.meta("foo"), Path::new(expect));
    }

    #[test]
    fn save_list_remove() {
        let dir = tempfile::tempdir().unwrap();
        let contexts = Contexts::new(dir.path());
        let mut context = Context { name: "rootless".into(), ..Context::default() };
        context
            .endpoints
            .insert("docker".into(), Endpoint { host: "unix:///x".into(), ..Endpoint::default() });
        contexts.save(&context).unwrap();
        assert_eq!(contexts.list().unwrap()[0].docker().host, "unix:///x");
        contexts.remove("rootless").unwrap();
        assert!(contexts.list().unwrap().is_empty());
        assert!(matches!(contexts.get("rootless"), Err(ConfigError::NoContext { .. })));
    }

    #[test]
    fn names() {
        assert!(check_name("my-ctx.1").is_ok());
        for bad in ["", "default", "a", "-x", "a/b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
