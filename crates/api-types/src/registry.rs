//! Registries: credentials, search, distribution.

use crate::{
    go::{Map, is_zero},
    image::{Descriptor, Platform},
};
use serde::{Deserialize, Serialize};

/// `X-Registry-Auth` (base64url of this) and the body of `POST /auth`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "lowercase")]
pub struct AuthConfig {
    #[serde(skip_serializing_if = "is_zero")]
    pub username: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub password: String,
    /// base64 of `username:password`; an alternative to both.
    #[serde(skip_serializing_if = "is_zero")]
    pub auth: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub email: String,
    #[serde(rename = "serveraddress", skip_serializing_if = "is_zero")]
    pub server_address: String,
    /// An OAuth refresh token.
    #[serde(rename = "identitytoken", skip_serializing_if = "is_zero")]
    pub identity_token: String,
    /// A bearer token, sent as it is.
    #[serde(rename = "registrytoken", skip_serializing_if = "is_zero")]
    pub registry_token: String,
}

// Credentials must not reach a log through `{:?}`.
impl std::fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

/// The answer of `POST /auth`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AuthResponse {
    pub identity_token: String,
    pub status: String,
}

/// `GET /distribution/{name}/json`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DistributionInspect {
    pub descriptor: Descriptor,
    pub platforms: Vec<Platform>,
}

/// One line of `GET /images/search`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    pub star_count: i64,
    pub is_official: bool,
    pub name: String,
    pub is_automated: bool,
    pub description: String,
}

/// [`crate::SystemInfo::registry_config`]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegistryConfig {
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub insecure_registry_cidrs: Vec<String>,
    pub index_configs: Map<IndexInfo>,
    pub mirrors: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IndexInfo {
    pub name: String,
    pub mirrors: Vec<String>,
    pub secure: bool,
    pub official: bool,
}
