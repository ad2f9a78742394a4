//! What can go wrong in the engine. Texts that clients parse are Docker's own.

use crate::create::Invalid;
use model::ErrorKind;
use std::path::{Path, PathBuf};

/// Every failure of a verb. [`Error::kind`] says what a client may do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // -- which object
    #[error("No such container: {reference}")]
    NoSuchContainer { reference: String },
    #[error("multiple IDs found with provided prefix: {prefix}")]
    AmbiguousContainer { prefix: String },
    #[error("No such exec instance: {reference}")]
    NoSuchExec { reference: String },
    #[error("Invalid container name ({name}), only {} are allowed", crate::container::names::ALLOWED)]
    InvalidName { name: String },
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameInUse { name: String, owner: String },

    // -- malformed requests
    /// A request names another container that there is not: it is the request that is wrong.
    #[error(transparent)]
    OtherContainer { source: Box<Error> },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("invalid filter {text:?}: expected a JSON map of lists")]
    MalformedFilters { text: String },
    #[error("invalid filter '{text}'")]
    InvalidFilter { text: String },

    #[error("invalid value for \"since\" or \"until\": {text:?}")]
    InvalidTime { text: String },
    #[error("Bad parameters: you must choose at least one stream")]
    NoLogStreams,
    #[error("specifying \"{column}\" is not allowed")]
    PsTitle { column: String },
    #[error("ps: {message}")]
    Ps { message: String },
    #[error("Couldn't find PID field in ps output")]
    PsWithoutPid,

    // -- the object's state forbids it
    #[error("cannot kill container: {reference}: container {id} is not running")]
    KillNotRunning { reference: String, id: String },
    #[error("container {id} does not end on SIGKILL: one of its processes hangs in the kernel")]
    Unkillable { id: String },
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    #[error("Neither old nor new names may be empty")]
    NoNewName,
    #[error("Conflict, cannot remove the default link name of the container")]
    DefaultLink,
    #[error("Cannot get parent for link name {reference}")]
    NoSuchLink { reference: String },
    #[error("container {id} is not running")]
    NotRunning { id: String },
    #[error("Container {id} is paused, unpause the container before {verb}")]
    PausedBefore { id: String, verb: &'static str },
    #[error("Container {id} is already paused")]
    AlreadyPaused { id: String },
    #[error("Container {id} is not paused")]
    NotPaused { id: String },
    #[error("Container {id} is restarting, wait until the container is running")]
    Restarting { id: String },
    #[error("cannot start a paused container, try unpause instead")]
    StartPaused,
    #[error("container is marked for removal and cannot be {verb}")]
    MarkedForRemoval { verb: &'static str },
    #[error("removal of container {reference} is already in progress")]
    RemovalInProgress { reference: String },
    #[error("cannot remove container \"{reference}\": container is paused and must be unpaused first")]
    RemovePaused { reference: String },
    #[error(
        "cannot remove container \"{reference}\": container is {status}: stop the container before removing or force remove"
    )]
    RemoveRunning { reference: String, status: &'static str },
    #[error("Error: Exec command {id} has already run")]
    ExecHasRun { id: String },
    #[error("Error: Exec command {id} is already running")]
    ExecRunning { id: String },
    #[error("exec process {id} is not running")]
    ExecNotRunning { id: String },
    #[error("container is already running")]
    AlreadyStarted,
    #[error("container is already stopped")]
    AlreadyStopped,
    #[error("Restart policy cannot be updated because AutoRemove is enabled for the container")]
    RestartWithAutoRemove,
    #[error("a prune operation is already running")]
    PruneRunning,
    #[error("the engine is shutting down")]
    ShuttingDown,

    // -- starting
    /// The container could not be started; the text is Docker's, and clients find the exit code by it.
    #[error("{message}")]
    Start { code: i32, message: String },
    #[error("path concatenation escapes the base directory, base: {}, subpath: {subpath}", base.display())]
    EscapesVolume { base: PathBuf, subpath: String },
    #[error("cannot access path {}: {source}", path.display())]
    NotAccessible { path: PathBuf, source: std::io::Error },
    #[error("failed to set up the container's cgroup: {0}")]
    Cgroup(#[from] crate::cgroups::Error),
    #[error("failed to set up container networking: {source}")]
    SetUpNetwork { source: network::Error },
    #[error("failed to join {what} namespace: container {reference} is not running")]
    JoinNotRunning { what: &'static str, reference: String },
    #[error(
        "failed to join IPC namespace: container {reference}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
    )]
    NotShareable { reference: String },
    #[error("Cannot link to {reference}, as it does not belong to the default network")]
    LinkElsewhere { reference: String },
    #[error("Cannot link to a non running container: {reference} AS {alias}")]
    LinkNotRunning { reference: String, alias: String },
    #[error("could not get container for {reference}: {source}")]
    LinkTarget { reference: String, source: Box<Error> },

    // -- unsupported
    #[error("{what} is not supported by Lichen")]
    Unsupported { what: String },

    // -- collaborators
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error(transparent)]
    Volume(#[from] volume::Error),
    #[error(transparent)]
    Spec(#[from] spec::Error),
    #[error(transparent)]
    Shim(#[from] crate::shims::Error),
    #[error(transparent)]
    Logs(#[from] ::logs::Error),
    #[error(transparent)]
    Files(#[from] crate::files::Error),
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Sys(#[from] sys::Error),
    #[error(transparent)]
    NetworkMode(#[from] crate::networks::ModeConflict),
    #[error("convert the {what}: {source}")]
    Convert { what: &'static str, source: serde_json::Error },
    #[error("{operation} {path}: {source}", path = path.display())]
    File { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{operation}: {source}")]
    Stream { operation: &'static str, source: std::io::Error },
    /// A task of the engine panicked; its message went to the log.
    #[error("internal error in {operation}: see the engine's log")]
    Panicked { operation: &'static str },
    /// What was to be undone after `cause` could itself not all be undone.
    #[error("{cause}; then, while undoing it: {}", .undo.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Undo { cause: Box<Error>, undo: Vec<Error> },
}

impl Error {
    pub(crate) fn file(
        operation: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { operation, path, source }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchContainer { .. }
            | Self::NoSuchExec { .. }
            | Self::NotAccessible { .. }
            | Self::NoSuchLink { .. } => ErrorKind::NotFound,
            Self::AmbiguousContainer { .. }
            | Self::InvalidName { .. }
            | Self::Invalid(_)
            | Self::MalformedFilters { .. }
            | Self::InvalidFilter { .. }
            | Self::InvalidTime { .. }
            | Self::NoLogStreams
            | Self::PsTitle { .. }
            | Self::SameName
            | Self::NoNewName
            | Self::LinkElsewhere { .. }
            | Self::LinkTarget { .. }
            | Self::EscapesVolume { .. }
            | Self::OtherContainer { .. }
            | Self::LinkNotRunning { .. } => ErrorKind::InvalidParameter,
            Self::NameInUse { .. }
            | Self::KillNotRunning { .. }
            | Self::NotRunning { .. }
            | Self::PausedBefore { .. }
            | Self::AlreadyPaused { .. }
            | Self::NotPaused { .. }
            | Self::Restarting { .. }
            | Self::StartPaused
            | Self::MarkedForRemoval { .. }
            | Self::RemovalInProgress { .. }
            | Self::RemovePaused { .. }
            | Self::RemoveRunning { .. }
            | Self::ExecHasRun { .. }
            | Self::ExecRunning { .. }
            | Self::ExecNotRunning { .. }
            | Self::DefaultLink
            | Self::PruneRunning
            | Self::RestartWithAutoRemove => ErrorKind::Conflict,
            Self::AlreadyStarted | Self::AlreadyStopped => ErrorKind::NotModified,
            Self::ShuttingDown => ErrorKind::Unavailable,
            // 400 for a command that cannot be run, as moby's startInvalidConfigError; else 500.
            Self::Start { code: 126 | 127, .. } => ErrorKind::InvalidParameter,
            // Of a container that exists: its own state is at fault, not the request (moby `getPIDContainer`).
            Self::Start { .. } | Self::NotShareable { .. } | Self::JoinNotRunning { .. } => ErrorKind::System,
            Self::Cgroup(source) => source.kind(),
            Self::SetUpNetwork { source } | Self::Network(source) => source.kind(),
            Self::Unsupported { .. } => ErrorKind::NotImplemented,
            Self::Store(e) => e.kind(),
            Self::Image(e) => e.kind(),
            Self::Snapshot(e) => e.kind(),
            Self::Volume(e) => e.kind(),
            Self::Spec(e) => e.kind(),
            Self::Shim(e) => e.kind(),
            Self::Logs(e) => e.kind(),
            Self::Files(e) => e.kind(),
            Self::Archive(e) => e.kind(),
            Self::Sys(_) => ErrorKind::System,
            Self::NetworkMode(_) => ErrorKind::InvalidParameter,
            Self::Convert { .. } => ErrorKind::System,
            Self::File { .. }
            | Self::Stream { .. }
            | Self::Panicked { .. }
            | Self::Unkillable { .. }
            | Self::Ps { .. }
            | Self::PsWithoutPid => ErrorKind::System,
            Self::Undo { cause, .. } => cause.kind(),
        }
    }
}
