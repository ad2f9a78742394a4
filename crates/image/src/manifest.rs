//! Manifests and indexes: OCI image-spec and Docker's "image manifest version 2, schema 2".

use crate::platform::Platform;
use model::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub const DOCKER_MANIFEST_V1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The largest manifest, index or configuration that is read (containerd and registries agree on 4 to 8 MiB).
pub const DOCUMENT_MAX: u64 = 8 << 20;

/// A pointer to content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    #[serde(default)]
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Only for layers of Windows base images; such layers are fetched elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            artifact_type: None,
        }
    }

    /// Attestations that BuildKit adds to indexes are no images.
    pub fn is_attestation(&self) -> bool {
        self.annotations.get("vnd.docker.reference.type").is_some_and(|t| t == "attestation-manifest")
    }
}

/// One image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    pub config: Descriptor,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The same image for several platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a registry or a layout serves under a manifest's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "taken apart where it is made")]
pub enum Document {
    Image(Manifest),
    Index(Index),
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    #[error("not JSON of a manifest: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "schema version {0} is not supported: only 2 is (schema 1 images were retired in 2017; push the image again with a current client)"
    )]
    Schema(u64),
    #[error("media type {0:?} is neither an image manifest nor an index")]
    MediaType(String),
    /// CVE-2021-41190: one document read as a manifest by one program and as an index by another.
    #[error("both \"manifests\" and \"layers\" or \"config\" are present, so it is ambiguous")]
    Ambiguous,
}

/// Only what tells the two kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Parses a manifest or index. `declared` is the media type that led here (`Content-Type` or a descriptor's);
    /// empty or generic when unknown, in which case the document's own media type or its fields decide.
    pub fn parse(bytes: &[u8], declared: &str) -> Result<Self, InvalidManifest> {
        let probe: Probe = serde_json::from_slice(bytes)?;
        if probe.schema_version != 2 {
            return Err(InvalidManifest::Schema(probe.schema_version));
        }
        if probe.manifests.is_some() && (probe.config.is_some() || probe.layers.is_some()) {
            return Err(InvalidManifest::Ambiguous);
        }
        let declared = declared.split(';').next().unwrap_or_default().trim();
        let is_index = match kind_of(&probe.media_type).or_else(|| kind_of(declared)) {
            Some(kind) => kind == Kind::Index,
            None if !probe.media_type.is_empty() => return Err(InvalidManifest::MediaType(probe.media_type)),
            None => probe.manifests.is_some(),
        };
        Ok(if is_index {
            Self::Index(serde_json::from_slice(bytes)?)
        } else {
            Self::Image(serde_json::from_slice(bytes)?)
        })
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Kind {
    Image,
    Index,
}

fn kind_of(media_type: &str) -> Option<Kind> {
    match media_type {
        OCI_INDEX | DOCKER_INDEX => Some(Kind::Index),
        OCI_MANIFEST | DOCKER_MANIFEST => Some(Kind::Image),
        _ => None,
    }
}

impl Index {
    /// The manifest for `wanted`: the best match, the first of equals. Entries without a platform match last.
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        let candidates = self.manifests.iter().filter(|d| !d.is_attestation());
        let ranked = candidates.filter_map(|d| match &d.platform {
            Some(platform) => platform.match_rank(wanted).map(|rank| (rank, d)),
            None => Some((u32::MAX, d)),
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, d)| d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(fill: &str) -> String {
        format!("sha256:{}", fill.repeat(64))
    }

    fn manifest_json(media_type: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"{OCI_CONFIG}","digest":"{}","size":2}},"layers":[]}}"#,
            digest("a")
        )
    }

    #[test]
    fn a_manifest_is_told_from_an_index() {
        let image = Document::parse(manifest_json(OCI_MANIFEST).as_bytes(), "").unwrap();
        assert!(matches!(image, Document::Image(m) if m.config.digest.as_str() == digest("a")));
        let untyped =
            format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{}","size":1}}]}}"#, digest("b"));
        assert!(matches!(Document::parse(untyped.as_bytes(), "application/json"), Ok(Document::Index(_))));
    }

    #[test]
    fn odd_documents_are_refused_with_a_reason() {
        let both = format!(r#"{{"schemaVersion":2,"manifests":[],"layers":[],"mediaType":"{OCI_INDEX}"}}"#);
        for (json, reason) in [
            ("", "not JSON"),
            ("[]", "not JSON"),
            (r#"{"schemaVersion":1}"#, "schema version 1 is not supported"),
            (both.as_str(), "ambiguous"),
            (manifest_json("text/html").as_str(), "neither an image manifest nor an index"),
            (r#"{"schemaVersion":2,"layers":[]}"#, "not JSON of a manifest: missing field `config`"),
        ] {
            let error = Document::parse(json.as_bytes(), "").map(|_| ()).expect_err(json).to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn the_platform_chooses() {
        let entry = |fill: &str, platform: &str| Descriptor {
            platform: Some(platform.parse().unwrap()),
            ..Descriptor::new(OCI_MANIFEST, digest(fill).parse().unwrap(), 1)
        };
        let mut attestation = entry("9", "linux/amd64");
        attestation.annotations.insert("vnd.docker.reference.type".into(), "attestation-manifest".into());
        let manifests = vec![
            attestation,
            entry("1", "linux/arm/v5"),
            entry("2", "linux/arm/v7"),
            entry("3", "linux/amd64"),
        ];
        let index = Index {
            schema_version: 2,
            media_type: OCI_INDEX.into(),
            manifests,
            annotations: BTreeMap::new(),
        };
        let pick = |p: &str| index.select(&p.parse().unwrap()).map(|d| d.digest.hex()[..1].to_owned());
        assert_eq!(pick("linux/arm/v7").as_deref(), Some("2"));
        assert_eq!(pick("linux/arm/v6").as_deref(), Some("1"));
        assert_eq!(pick("linux/amd64").as_deref(), Some("3"));
        assert_eq!(pick("linux/s390x"), None);
    }
}
