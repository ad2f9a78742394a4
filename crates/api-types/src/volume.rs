//! Volumes.

use crate::go::{self, Map, is_zero};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// RFC 3339, whole seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub created_at: String,
    pub driver: String,
    #[serde(with = "go::map")]
    pub labels: Map<String>,
    pub mountpoint: String,
    pub name: String,
    #[serde(with = "go::map")]
    pub options: Map<String>,
    /// Always `local` here.
    pub scope: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub status: Map<serde_json::Value>,
    /// Only in disk usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_data: Option<VolumeUsage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeUsage {
    /// -1 when not counted.
    pub ref_count: i64,
    /// -1 when not known.
    pub size: i64,
}

/// The body of `POST /volumes/create`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeCreateRequest {
    /// Not null: a cluster volume, which needs swarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_volume_spec: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "is_zero")]
    pub driver: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub driver_opts: Map<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub labels: Map<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeList {
    pub volumes: Vec<Volume>,
    #[serde(with = "go::list")]
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumesPruneReport {
    /// `[]` when there are none, unlike the other reports' (moby `VolumesService.Prune`).
    pub volumes_deleted: Vec<String>,
    pub space_reclaimed: u64,
}
