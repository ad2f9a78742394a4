//! What the API itself refuses, and the one place where failures become HTTP statuses.

use crate::version::ApiVersion;
use http::StatusCode;
use model::ErrorKind;

/// Why a request failed. The text is the `message` that the client shows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Engine(#[from] engine::Error),

    // -- where to
    #[error("page not found")]
    PageNotFound,
    #[error(
        "client version {client} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
        ApiVersion::MIN
    )]
    ClientTooOld { client: ApiVersion },
    #[error("client version {client} is too new. Maximum supported API version is {}", ApiVersion::MAX)]
    ClientTooNew { client: ApiVersion },

    // -- the body
    #[error("malformed Content-Type header ({value})")]
    MalformedContentType { value: String },
    #[error("unsupported Content-Type header ({value}): must be 'application/json'")]
    ContentType { value: String },
    #[error("invalid JSON: got EOF while reading request body")]
    NoJson,
    #[error("invalid JSON: {0}")]
    Json(serde_json::Error),
    #[error("invalid JSON: {0}")]
    JsonSyntax(api_types::go::syntax::SyntaxError),
    #[error("unexpected content after JSON")]
    AfterJson,
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("read the request body: {0}")]
    Body(#[source] hyper::Error),

    // -- the query and the headers
    #[error("invalid value \"{value}\" for parameter {name}: expected a whole number")]
    Number { name: &'static str, value: String },
    #[error("bad parameter: {name} cannot be empty")]
    Missing { name: &'static str },
    #[error("{0}")]
    Bad(BadRequest),

    // -- what there is not
    #[error(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."
    )]
    NotSwarmManager,
    #[error("{what} is not supported by Lichen")]
    Unsupported { what: &'static str },
    #[error("This node is not part of a swarm")]
    NotInSwarm,
    #[error("volume update only valid for cluster volumes, but swarm is unavailable")]
    ClusterVolumesOnly,
    #[error("plugin \"{name}\" not found")]
    NoSuchPlugin { name: String },
    #[error("{what} is only supported on a Docker daemon with experimental features enabled")]
    Experimental { what: &'static str },

    #[error("write the response: {0}")]
    Encode(serde_json::Error),
    /// The task that answered panicked; its message went to the log.
    #[error("internal error: see the engine's log")]
    Panicked,
}

/// Requests that contradict themselves or the API's version. The texts are Docker's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("Bad parameters: you must choose at least one stream")]
    NoStream,
    #[error("config cannot be empty in order to create a container")]
    EmptyConfig,
    #[error("invalid condition: {0:?}")]
    WaitCondition(String),
    #[error("invalid resize {name} {value:?}: {reason}")]
    Resize { name: &'static str, value: String, reason: &'static str },
    #[error(
        "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
    )]
    StartBody,
    #[error("{option} must not be specified on mount type {mount_type:?}")]
    MountOption { option: &'static str, mount_type: String },
    #[error("bad WebSocket request: the header {header} is missing or wrong")]
    WebSocket { header: &'static str },
    #[error("{what} needs API v{needed} or newer")]
    NeedsVersion { what: &'static str, needed: ApiVersion },
    #[error("Container cannot be created with multiple network endpoints: {0}")]
    ManyEndpoints(String),
    #[error("conflicting options: mac-address and the network mode")]
    MacAddressMode,
    #[error("HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks")]
    NetworkModeMatch,
    #[error(
        "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"
    )]
    MacAddressMatch,
    #[error("unknown object type: {0}")]
    DiskUsageType(String),
    #[error(
        "interface specific sysctl setting {key:?} must be supplied using driver option 'com.docker.network.endpoint.sysctls'"
    )]
    InterfaceSysctl { key: String },
    #[error(
        "unable to determine network endpoint for sysctl {key}, use driver option 'com.docker.network.endpoint.sysctls' to set per-interface sysctls"
    )]
    UnknownInterfaceSysctl { key: String },
    #[error("`since` time ({since}) cannot be after `until` time ({until})")]
    TimeOrder { since: String, until: String },
    #[error("failed to parse platform: {0}")]
    Platform(String),
    #[error("multiple platform parameters not supported")]
    ManyPlatforms,
    #[error("conflicting options: manifests and platform options cannot both be specified")]
    ManifestsOfPlatform,
    #[error("image name cannot be blank")]
    BlankImage,
}

impl From<BadRequest> for Error {
    fn from(bad: BadRequest) -> Self {
        Self::Bad(bad)
    }
}

impl Error {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Engine(error) => status_of(error.kind()),
            Self::PageNotFound | Self::NoSuchPlugin { .. } => StatusCode::NOT_FOUND,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ClientTooOld { .. }
            | Self::ClientTooNew { .. }
            | Self::MalformedContentType { .. }
            | Self::ContentType { .. }
            | Self::NoJson
            | Self::Json(_)
            | Self::JsonSyntax(_)
            | Self::AfterJson
            | Self::Body(_)
            | Self::Number { .. }
            | Self::Missing { .. }
            | Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NotSwarmManager | Self::NotInSwarm | Self::ClusterVolumesOnly => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
            // moby answers 501 for what only its experimental mode has (`router.ExperimentalRoute`).
            Self::Experimental { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::Encode(_) | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The status for each class of failure (moby `api/server/httpstatus`).
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidParameter => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::NotModified => StatusCode::NOT_MODIFIED,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Cancelled | ErrorKind::System => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
