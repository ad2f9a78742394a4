//! The image configuration: Docker's `image.json`, a superset of OCI image-spec config.md.
//!
//! An image's ID is the digest of these bytes as they were received, so a configuration is kept verbatim in the
//! content store and these structs are a view of it. Fields they do not know are kept in `other`, so that a
//! configuration derived from one (commit, build) passes them on.

use crate::platform::Platform;
use model::Digest;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A set as Go writes it: `{"80/tcp": {}}`.
pub type Set = BTreeMap<String, Empty>;

/// `{}`; whatever else stands there is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// Go writes empty slices, maps and strings as `null` at will.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A whole image configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    #[serde(deserialize_with = "null_is_default")]
    pub architecture: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub variant: String,
    #[serde(deserialize_with = "null_is_default")]
    pub os: String,
    #[serde(
        rename = "os.version",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub os_version: String,
    #[serde(
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub os_features: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub author: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub comment: String,
    /// RFC 3339, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub docker_version: String,
    #[serde(deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    pub rootfs: RootFs,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub history: Vec<History>,
    /// Everything else, kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ImageConfig {
    /// Parses a configuration blob.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The bytes of a configuration made here.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data serialises")
    }

    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        }
    }

    /// When the image was made, or Go's zero time when it does not say.
    pub fn created_at(&self) -> model::Timestamp {
        self.created.as_deref().and_then(|t| t.parse().ok()).unwrap_or_default()
    }

    /// The chain ID of the topmost layer; none for an image without layers.
    pub fn top_layer(&self) -> Option<Digest> {
        crate::chain::chain_ids(&self.rootfs.diff_ids).pop()
    }
}

/// The layers of an image, lowest first, by the digest of their uncompressed archive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

/// How one layer (or, with `empty_layer`, one change of the configuration) came about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub created_by: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub author: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub comment: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a container of the image runs by default: Docker's `container.Config` as images carry it.
///
/// `None` and an empty list differ for `cmd` and `entrypoint`: an empty entrypoint resets an inherited one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerConfig {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub exposed_ports: Set,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "null_is_default")]
    pub args_escaped: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub volumes: Set,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub on_build: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub stop_signal: String,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Everything else (`Hostname`, `AttachStdin`, `NetworkDisabled`, …), kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Docker's health check; durations in nanoseconds, zero for "inherit" or the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// Empty: inherit. `["NONE"]`: none. `["CMD", …]`: exec. `["CMD-SHELL", text]`: by the shell.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `docker save` of an older engine writes it, nulls and all.
    const DOCKER: &str = r#"{"architecture":"amd64","config":{"Hostname":"","Env":["PATH=/bin"],"Cmd":["sh"],
        "Entrypoint":null,"OnBuild":null,"Labels":null,"Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{}},
        "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":1000000000},"ArgsEscaped":true,"MacAddress":"x"},
        "container":"abc","created":"2026-01-02T03:04:05.6Z","docker_version":"28.5.2","os":"linux",
        "history":[{"created_by":"ADD","author":"a"},{"created_by":"CMD","empty_layer":true}],
        "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
        "moby.buildkit.buildinfo.v1":"e30="}"#;

    #[test]
    fn a_docker_config_is_read_and_nothing_is_lost() {
        let config = ImageConfig::parse(DOCKER.as_bytes()).unwrap();
        assert_eq!(config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!(config.config.entrypoint, None);
        assert!(config.config.volumes.contains_key("/data"));
        assert_eq!(config.config.healthcheck.as_ref().unwrap().interval, 1_000_000_000);
        assert!(config.history[1].empty_layer);
        assert_eq!(config.created_at().to_string(), "2026-01-02T03:04:05.6Z");
        let again: Value = serde_json::to_value(&config).unwrap();
        for (path, value) in [
            ("/container", "abc"),
            ("/moby.buildkit.buildinfo.v1", "e30="),
            ("/config/MacAddress", "x"),
            ("/config/Env/0", "PATH=/bin"),
        ] {
            assert_eq!(again.pointer(path).and_then(Value::as_str), Some(value), "{path}");
        }
        assert_eq!(ImageConfig::parse(&serde_json::to_vec(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn a_number_that_nobody_knows_stays_the_same() {
        let config =
            ImageConfig::parse(br#"{"size":299999999999999999999999999999999999999999999999}"#).unwrap();
        assert_eq!(ImageConfig::parse(&serde_json::to_vec(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn an_empty_config_is_one() {
        let config = ImageConfig::parse(b"{}").unwrap();
        assert_eq!(config.top_layer(), None);
        assert!(config.created_at().is_zero());
    }
}
