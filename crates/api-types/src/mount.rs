//! Mounts as asked for ([`Mount`]) and as they are ([`MountPoint`]).

use crate::go::{Map, is_zero};
use serde::{Deserialize, Serialize};

/// `--mount`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`, `image`, `npipe`, `cluster`.
    #[serde(skip_serializing_if = "is_zero")]
    pub r#type: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub source: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub target: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_options: Option<crate::go::Empty>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    #[serde(skip_serializing_if = "is_zero")]
    pub propagation: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub non_recursive: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub create_mountpoint: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub read_only_force_recursive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// Do not fill the new volume from the image.
    #[serde(skip_serializing_if = "is_zero")]
    pub no_copy: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub labels: Map<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub subpath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<MountDriver>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountDriver {
    #[serde(skip_serializing_if = "is_zero")]
    pub name: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub options: Map<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageOptions {
    #[serde(skip_serializing_if = "is_zero")]
    pub subpath: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: i64,
    /// Permission bits.
    #[serde(skip_serializing_if = "is_zero")]
    pub mode: u32,
    /// `["noexec"]` or `["uid", "1000"]`.
    #[serde(skip_serializing_if = "is_zero")]
    pub options: Vec<Vec<String>>,
}

/// A mount of a container, as inspect and list show it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    #[serde(skip_serializing_if = "is_zero")]
    pub r#type: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub name: String,
    pub source: String,
    pub destination: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub driver: String,
    pub mode: String,
    #[serde(rename = "RW")]
    pub rw: bool,
    pub propagation: String,
}
