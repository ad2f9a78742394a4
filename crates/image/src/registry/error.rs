//! What can go wrong with a registry, in Docker's words.

use super::patience::LONGEST_PAUSE;
use model::ErrorKind;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer at all. `reason` is worded as Go words it: `dial tcp 127.0.0.1:5000: connect: connection refused`.
    #[error("{method} \"{url}\": {reason}")]
    Transport { method: &'static str, url: String, reason: String },

    #[error("manifest for {reference} not found: manifest unknown: {message}")]
    ManifestUnknown { reference: String, message: String },

    #[error("repository {repository} not found: name unknown: {message}")]
    NameUnknown { repository: String, message: String },

    /// Registries that hide what they do not show say this of absent repositories too.
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login': denied: {message}"
    )]
    Denied { repository: String, message: String },

    #[error("denied: {message}")]
    PushDenied { message: String },

    /// Redirections that lead nowhere: a circle, as a rule.
    #[error("{method} \"{url}\": {reason}")]
    Redirect { method: &'static str, url: String, reason: String },

    /// A registry that takes no part of an upload, or answers one in a way that leads nowhere.
    #[error("{method} \"{url}\": {reason}")]
    Upload { method: &'static str, url: String, reason: String },

    #[error("unauthorized: {message}")]
    Unauthorized { message: String },

    /// What the registry's token server says of the credentials.
    #[error("{method} \"{url}\": unauthorized: {message}")]
    Refused { method: &'static str, url: String, message: String },

    #[error("Get \"{url}\": authorization server did not include a token in the response")]
    NoToken { url: String },

    #[error("{method} \"{url}\": no basic auth credentials")]
    NoCredentials { method: &'static str, url: String },

    #[error(
        "{method} \"{url}\": the registry wants authentication by {schemes:?}, of which neither Basic nor Bearer is one"
    )]
    Challenge { method: &'static str, url: String, schemes: Vec<String> },

    #[error("toomanyrequests: {message}{}", later(.retry_after))]
    TooManyRequests { message: String, retry_after: Option<Duration> },

    #[error("received unexpected HTTP status: {status} from {method} \"{url}\"{detail}{}", later(.retry_after))]
    Status {
        method: &'static str,
        url: String,
        status: String,
        detail: String,
        retry_after: Option<Duration>,
    },

    #[error("{method} \"{url}\": {what} is larger than {limit} bytes")]
    TooLarge { method: &'static str, url: String, what: &'static str, limit: u64 },

    #[error("{method} \"{url}\": {source}")]
    Answer { method: &'static str, url: String, source: serde_json::Error },

    /// A digest that does not fit; `what` is `manifest`, `image config` or `filesystem layer`.
    #[error("{what} verification failed for digest {digest}")]
    Verification { what: &'static str, digest: model::Digest },

    /// A blob that is longer or shorter than the manifest says.
    #[error("{digest}: the registry has {served} bytes of it, and its manifest says {promised}")]
    BlobSize { digest: model::Digest, served: u64, promised: u64 },

    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoPlatform { platform: String },

    #[error("{reference} leads through more than {limit} nested indexes")]
    Nested { reference: String, limit: usize },

    /// An artifact of another kind, such as a Helm chart or a plugin.
    #[error("{reference} is no image: its configuration has media type {media_type:?}")]
    NotAnImage { reference: String, media_type: String },

    #[error("image operating system {os:?} cannot be used on this platform")]
    OperatingSystem { os: String },

    #[error("{path}: {reason}", path = .path.display())]
    Certificate { path: std::path::PathBuf, reason: String },

    #[error("invalid mirror {url:?}: {reason}")]
    Mirror { url: String, reason: String },

    #[error("prepare the HTTP client for {host}: {reason}")]
    Client { host: String, reason: String },

    #[error("registry {host} cannot be searched: {reason}")]
    NoSearch { host: String, reason: String },
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ManifestUnknown { .. }
            | Self::NameUnknown { .. }
            | Self::Denied { .. }
            | Self::NoPlatform { .. } => ErrorKind::NotFound,
            Self::Unauthorized { .. } | Self::Refused { .. } => ErrorKind::Unauthorized,
            Self::PushDenied { .. } => ErrorKind::Forbidden,
            Self::NotAnImage { .. }
            | Self::OperatingSystem { .. }
            | Self::Nested { .. }
            | Self::Mirror { .. } => ErrorKind::InvalidParameter,
            Self::NoSearch { .. } => ErrorKind::NotImplemented,
            Self::TooManyRequests { .. } => ErrorKind::Unavailable,
            // Docker answers 500 to all of these.
            Self::Transport { .. }
            | Self::Redirect { .. }
            | Self::BlobSize { .. }
            | Self::NoCredentials { .. }
            | Self::NoToken { .. }
            | Self::Challenge { .. }
            | Self::Status { .. }
            | Self::Upload { .. }
            | Self::TooLarge { .. }
            | Self::Answer { .. }
            | Self::Verification { .. }
            | Self::Certificate { .. }
            | Self::Client { .. } => ErrorKind::System,
        }
    }

    /// Whether the registry answered for this very repository or reference, which another endpoint's silence does not
    /// outweigh.
    pub(crate) fn is_definite(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::NotFound
                | ErrorKind::Unauthorized
                | ErrorKind::Forbidden
                | ErrorKind::InvalidParameter
        )
    }

    /// Whether the same request may succeed in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::TooManyRequests { retry_after, .. } => is_soon(retry_after),
            Self::Status { status, retry_after, .. } => {
                (status.starts_with('5') || status.starts_with("408")) && is_soon(retry_after)
            }
            _ => false,
        }
    }
}

fn is_soon(asked: &Option<Duration>) -> bool {
    asked.is_none_or(|asked| asked <= LONGEST_PAUSE)
}

/// What the registry says about when to come again, where that is not soon.
fn later(asked: &Option<Duration>) -> String {
    let asked = asked.filter(|asked| *asked > LONGEST_PAUSE);
    asked.map(|asked| format!(" (try again in {} seconds)", asked.as_secs())).unwrap_or_default()
}
