//! What can be wrong with a plan.

use model::ErrorKind;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid CapAdd: unknown capability: \"{0}\"")]
    UnknownCapAdd(String),
    #[error("invalid CapDrop: unknown capability: \"{0}\"")]
    UnknownCapDrop(String),
    #[error("Decoding seccomp profile failed: {0}")]
    SeccompJson(#[source] serde_json::Error),
    #[error("invalid seccomp profile: {0}")]
    SeccompProfile(#[from] crate::seccomp::ProfileError),
    #[error("error gathering device information while adding custom device \"{path}\": {source}", path = path.display())]
    Device { path: PathBuf, source: rustix::io::Errno },
    #[error("error gathering device information while adding custom device \"{path}\": not a device node", path = .0.display())]
    NotADevice(PathBuf),
    #[error("render OCI specification: {0}")]
    Render(#[from] oci_spec::OciSpecError),
    #[error(transparent)]
    User(#[from] crate::user::UserError),
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Render(_) => ErrorKind::System,
            Self::User(error) => error.kind(),
            _ => ErrorKind::InvalidParameter,
        }
    }
}
