//! Where things are: from the environment, as dockerd-rootless.sh and the XDG Base Directory Specification have it.

use super::error::{Error, Result};
use std::env;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The user's directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// `$XDG_RUNTIME_DIR`, which exists and is ours.
    pub(crate) runtime: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) config: PathBuf,
}

/// Room for `/c/`, a short ID and `/shim.sock` in the 108 bytes of `sun_path` (unix(7)).
const LONGEST_RUN_DIR: usize = 107 - "/c/0123456789ab/shim.sock".len();

pub(crate) fn places() -> Result<Places> {
    let uid = rustix::process::geteuid().as_raw();
    let runtime = match path_variable("XDG_RUNTIME_DIR") {
        Some(path) => check_runtime_dir(path, uid)?,
        // Inside a user namespace root's own directory is the outer user's, which nothing tells us.
        None => check_runtime_dir(PathBuf::from(format!("/run/user/{uid}")), uid)
            .map_err(|_| Error::NoRuntimeDir)?,
    };
    let home = path_variable("HOME").filter(|home| home.is_dir());
    let below_home = |variable: &str, default: &str| {
        path_variable(variable).or_else(|| Some(home.as_ref()?.join(default))).ok_or(Error::NoHome)
    };
    let data = below_home("XDG_DATA_HOME", ".local/share")?;
    let config = below_home("XDG_CONFIG_HOME", ".config")?;
    Ok(Places { runtime, data, config })
}

/// Where TLS files are that no option names (dockerd: `DOCKER_CERT_PATH`, else the client's own directory).
pub(crate) fn certificates() -> PathBuf {
    let below_home = || path_variable("HOME").unwrap_or_else(|| PathBuf::from("/")).join(".docker");
    path_variable("DOCKER_CERT_PATH").unwrap_or_else(below_home)
}

/// An absolute path; the specification has others ignored.
fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute())
}

fn check_runtime_dir(path: PathBuf, uid: u32) -> Result<PathBuf> {
    let fail = |reason: String| Error::RuntimeDir { path: path.clone(), reason };
    let metadata = fs::metadata(&path).map_err(|e| fail(e.to_string()))?;
    if !metadata.is_dir() {
        return Err(fail("not a directory".to_owned()));
    }
    if metadata.uid() != uid {
        return Err(fail(format!("owned by UID {}, not by {uid}", metadata.uid())));
    }
    rustix::fs::access(&path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(|e| fail(e.to_string()))?;
    Ok(path)
}

/// Make a directory that is ours alone, with those above it; one that is there has to be ours, and is closed to others,
/// as dockerd does with its own (moby `setupDaemonRoot`). `option` is what chooses another.
pub(crate) fn make_private(path: &Path, option: &'static str) -> Result<()> {
    let failed = |source| Error::Place { path: path.to_owned(), option, source };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(failed)?;
    // What is looked at is what is changed, whatever the name leads to meanwhile.
    let directory = fs::File::open(path).map_err(failed)?;
    let metadata = directory.metadata().map_err(failed)?;
    let (owner, uid) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != uid {
        return Err(Error::Foreign { path: path.to_owned(), option, owner, uid });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        directory.set_permissions(fs::Permissions::from_mode(mode & 0o7700)).map_err(failed)?;
    }
    Ok(())
}

/// Sockets below the run directory need names that the kernel takes.
pub(crate) fn check_length(run: &Path) -> Result<()> {
    if run.as_os_str().len() > LONGEST_RUN_DIR {
        return Err(Error::RunDirTooLong { path: run.to_owned(), limit: LONGEST_RUN_DIR });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_closed_to_others_and_what_is_not_ours_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (new, open) = (dir.path().join("a/b"), dir.path().join("open"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o2775)).unwrap();
        for path in [&new, &open] {
            make_private(path, "data-root").unwrap();
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700, "{}", path.display());
        }
        // A process is its user's, whoever that is, and this directory the real root's.
        if !rustix::process::geteuid().is_root() {
            let refused = make_private(Path::new("/usr"), "exec-root").unwrap_err().to_string();
            assert!(refused.contains("belongs to UID"), "{refused}");
        } else {
            let theirs = dir.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            std::os::unix::fs::chown(&theirs, Some(1), None).unwrap();
            let refused = make_private(&theirs, "exec-root").unwrap_err().to_string();
            assert!(refused.contains("belongs to UID 1, not to 0"), "{refused}");
        }
    }
}
