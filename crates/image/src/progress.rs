//! Progress in the vocabulary of Docker's JSON streams (moby `pkg/jsonmessage`), which the command line draws.

use serde::Serialize;
use std::sync::Arc;

/// One line of a JSON stream.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Text for the terminal, newline included (`load`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// What the status is about: the first 12 digits of a layer's digest, or a tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<serde_json::Value>,
}

/// Bytes done and to do; `{}` when there is nothing to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ProgressDetail {
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ErrorDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    pub message: String,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Message {
    /// `{"status":"…"}`
    pub fn status(status: impl Into<String>) -> Self {
        Self { status: Some(status.into()), ..Self::default() }
    }

    /// `{"status":"…","id":"…"}`, which does not draw a bar.
    pub fn about(id: impl Into<String>, status: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..Self::status(status) }
    }

    /// `{"status":"…","progressDetail":{…},"id":"…"}`; both numbers zero for a step without a bar.
    pub fn step(id: impl Into<String>, status: impl Into<String>, current: u64, total: u64) -> Self {
        Self { progress_detail: Some(ProgressDetail { current, total }), ..Self::about(id, status) }
    }

    /// `{"status":"…","progressDetail":{…}}`: a bar that is about nothing in particular.
    pub fn progress(status: impl Into<String>, current: u64, total: u64) -> Self {
        Self { progress_detail: Some(ProgressDetail { current, total }), ..Self::status(status) }
    }

    /// `{"progressDetail":{},"aux":{…}}`: a result for programs.
    pub fn aux(value: serde_json::Value) -> Self {
        Self { progress_detail: Some(ProgressDetail::default()), aux: Some(value), ..Self::default() }
    }

    /// `{"stream":"…\n"}`
    pub fn line(text: impl std::fmt::Display) -> Self {
        Self { stream: Some(format!("{text}\n")), ..Self::default() }
    }

    /// `{"errorDetail":{"message":"…"},"error":"…"}`: how a stream that has begun reports failure.
    pub fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error_detail: Some(ErrorDetail { code: None, message: message.clone() }),
            error: Some(message),
            ..Self::default()
        }
    }
}

/// Where progress goes. Called from several threads; must not block for long.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Message) + Send + Sync>);

impl Progress {
    pub fn new(sink: impl Fn(Message) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Nobody is interested.
    pub fn none() -> Self {
        Self::new(drop)
    }

    /// The same without lines of text (`Loaded image: …`).
    pub(crate) fn without_lines(&self) -> Self {
        let to = self.clone();
        Self::new(move |message| {
            if message.stream.is_none() {
                to.send(message);
            }
        })
    }

    pub fn send(&self, message: Message) {
        (self.0)(message);
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_dockers() {
        for (message, json) in [
            (
                Message::about("latest", "Pulling from library/x"),
                r#"{"status":"Pulling from library/x","id":"latest"}"#,
            ),
            (Message::step("abc", "Waiting", 0, 0), r#"{"status":"Waiting","progressDetail":{},"id":"abc"}"#),
            (
                Message::step("abc", "Downloading", 1, 2),
                r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"abc"}"#,
            ),
            (Message::line("Loaded image: x:y"), r#"{"stream":"Loaded image: x:y\n"}"#),
            (Message::error("no"), r#"{"errorDetail":{"message":"no"},"error":"no"}"#),
        ] {
            assert_eq!(serde_json::to_string(&message).unwrap(), json);
        }
    }
}
