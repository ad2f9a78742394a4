//! `GET /events`

use crate::go::{Map, is_zero};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventMessage {
    /// Deprecated copies for containers and images, for clients from before API 1.22.
    #[serde(skip_serializing_if = "is_zero")]
    pub status: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub id: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub from: String,
    /// `container`, `image`, `volume`, `network`, `daemon`, `builder`.
    #[serde(rename = "Type")]
    pub r#type: String,
    /// `start`, `exec_create: sh -c …`, `health_status: healthy`, …
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    #[serde(skip_serializing_if = "is_zero")]
    pub scope: String,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "is_zero")]
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano", skip_serializing_if = "is_zero")]
    pub time_nano: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: Map<String>,
}
