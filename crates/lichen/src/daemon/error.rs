//! Why the engine does not start.

use super::options::{by_flag, by_key};
use super::settings::Settings;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unknown flag: --{0}; see 'lichen daemon --help'")]
    UnknownFlag(String),
    #[error("unknown shorthand flag: '{0}' in -{1}; see 'lichen daemon --help'")]
    UnknownShort(char, String),
    #[error("flag needs an argument: --{0}")]
    MissingValue(&'static str),
    #[error("lichen daemon accepts no arguments, got {0:?}{hint}", hint = meant(.0))]
    Argument(String),
    #[error("invalid argument {value:?} for {option:?}: {reason}")]
    Invalid { option: &'static str, value: String, reason: String },
    #[error("--{option} cannot be used here: {reason}")]
    Unsupported { option: &'static str, reason: &'static str },
    #[error("unable to configure the Docker daemon with file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error(
        "refusing to run as root: Lichen is a rootless engine; start it as an ordinary user (UID 0 is accepted only inside a user namespace)"
    )]
    Root,
    #[error(
        "could not get XDG_RUNTIME_DIR: set it to a directory that only you can access, for example: \
         export XDG_RUNTIME_DIR=$HOME/.docker/xrd; rm -rf $XDG_RUNTIME_DIR; mkdir -p $XDG_RUNTIME_DIR"
    )]
    NoRuntimeDir,
    #[error("XDG_RUNTIME_DIR needs to be set and writable: {}: {reason}", path.display())]
    RuntimeDir { path: PathBuf, reason: String },
    #[error("HOME needs to be set and writable")]
    NoHome,
    #[error(
        "{} is too long for the sockets below it: at most {limit} bytes; choose another with --exec-root",
        path.display()
    )]
    RunDirTooLong { path: PathBuf, limit: usize },
    #[error(
        "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running",
        path.display()
    )]
    AlreadyRunning { pid: u32, path: PathBuf },
    #[error(
        "cannot make the directory {}: {source}; choose another with --{option}, or with \"{option}\" in daemon.json",
        path.display()
    )]
    Place { path: PathBuf, option: &'static str, source: io::Error },
    #[error(
        "the directory {} belongs to UID {owner}, not to {uid}, and would be theirs to change; choose another with \
         --{option}, or with \"{option}\" in daemon.json",
        path.display()
    )]
    Foreign { path: PathBuf, option: &'static str, owner: u32, uid: u32 },
    #[error("cannot write the PID file {}: {source}; choose another with --pidfile", path.display())]
    Pidfile { path: PathBuf, source: io::Error },
    /// What the engine itself would refuse.
    #[error("{}", crate::engine_main::causes::line(.0))]
    Settings(anyhow::Error),
    #[error("cannot {operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("lichen-shim is not beside {}, nor on PATH; both programs are installed together", beside.display())]
    NoShim { beside: PathBuf },
    #[error(
        "no sockets found via socket activation for fd://{which}: make sure the service was started by systemd"
    )]
    NoActivatedSocket { which: String },
    #[error("no engine is running here: {} does not exist or is out of date", state.display())]
    NotRunning { state: PathBuf },
    #[error("containers go on, as live-restore asks")]
    ContainersRun,
    #[error(transparent)]
    Holder(#[from] shim_proto::ProtoError),
    #[error(transparent)]
    Rootless(#[from] rootless::Error),
    #[error(transparent)]
    System(#[from] sys::Error),
}

/// The set-up tool's verbs are taken for the daemon's at times, as with dockerd-rootless.sh.
fn meant(argument: &str) -> String {
    match argument {
        "check" | "install" | "uninstall" => format!("; did you mean 'lichen setup {argument}'?"),
        _ => String::new(),
    }
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { operation, path, source }
    }

    /// A value that only the file can have given is the file's fault: `merged` is that with the flags.
    pub(crate) fn of_file(self, flags: &Settings, merged: &Settings, file: &Path) -> Self {
        let Self::Invalid { option, value, reason } = self else { return self };
        match by_flag(option).or_else(|| by_key(option)) {
            Some(known) if merged.value(known.key).is_some() && flags.value(known.key).is_none() => {
                Self::File { path: file.to_owned(), reason: format!("{}: {value}: {reason}", known.key) }
            }
            _ => Self::Invalid { option, value, reason },
        }
    }

    pub(crate) fn invalid(option: &'static str, value: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { option, value: value.into(), reason: reason.into() }
    }
}
