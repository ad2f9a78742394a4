//! The body of every failed request.

use serde::{Deserialize, Serialize};

/// `{"message": "…"}`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ErrorResponse {
    pub message: String,
}
