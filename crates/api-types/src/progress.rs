//! The stream of JSON messages by which pull, push, load, import and build report.

use crate::go::is_zero;
use serde::{Deserialize, Serialize};

/// One message. Which fields are set tells its kind; Docker's clients draw a bar for those with an `id`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JsonMessage {
    /// Text to print as it is.
    #[serde(skip_serializing_if = "is_zero")]
    pub stream: String,
    /// `Downloading`, `Pull complete`, `Status: Downloaded newer image for …`.
    #[serde(skip_serializing_if = "is_zero")]
    pub status: String,
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// Which line the message updates: a layer's short digest, or a tag.
    #[serde(skip_serializing_if = "is_zero")]
    pub id: String,
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    /// Deprecated copy of the error's text, still written.
    #[serde(skip_serializing_if = "is_zero")]
    pub error: String,
    /// Machine-readable result, such as a pushed digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    #[serde(skip_serializing_if = "is_zero")]
    pub current: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub total: i64,
    #[serde(rename = "hidecounts", skip_serializing_if = "is_zero")]
    pub hide_counts: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub units: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    #[serde(skip_serializing_if = "is_zero")]
    pub code: i64,
    pub message: String,
}

impl JsonMessage {
    /// A failure after the stream has begun, when the status line can no longer tell it.
    pub fn failure(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error: message.clone(),
            error_detail: Some(ErrorDetail { code: 0, message }),
            ..Self::default()
        }
    }
}
