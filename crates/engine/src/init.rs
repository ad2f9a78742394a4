//! The file that `--init` binds into containers.

use crate::{Engine, Error};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The program as a file that can be bound.
///
/// The configured one may be a memory file (`/proc/PID/fd/N`), whose mount is internal to the kernel and cannot be bound
/// (open_tree(2), EINVAL). A copy of it is made in the run directory, once, whole or not at all. Blocks.
pub(crate) fn file(engine: &Engine) -> Result<PathBuf, Error> {
    let program = &engine.config.init_path;
    if !program.starts_with("/proc") {
        return Ok(program.clone());
    }
    let copy = engine.config.run.root().join("docker-init");
    if !is_copy(&copy, program) {
        let half = engine.config.run.root().join(format!("docker-init.{}", model::Id::random().short()));
        fs::copy(program, &half).map_err(Error::file("copy the init to", &half))?;
        fs::set_permissions(&half, fs::Permissions::from_mode(0o555))
            .map_err(Error::file("change mode of", &half))?;
        fs::rename(&half, &copy).map_err(Error::file("rename the init to", &copy))?;
    }
    Ok(copy)
}

/// Of another release, the size tells.
fn is_copy(copy: &Path, program: &Path) -> bool {
    matches!((fs::metadata(copy), fs::metadata(program)), (Ok(a), Ok(b)) if a.len() == b.len())
}
