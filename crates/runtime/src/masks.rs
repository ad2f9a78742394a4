//! Masked and read-only paths.

use crate::{
    Failure, devices,
    report::{At, failed},
    root::{self, Root},
};
use rustix::io::Errno;
use std::{os::fd::OwnedFd, path::Path};
use sys::mount::{self, Attributes};

/// Covers each path: files with the host's /dev/null, directories with one empty read-only tmpfs. Paths that do not
/// exist have nothing to hide.
pub(crate) fn cover(paths: &[String], root: &Root) -> Result<(), Failure> {
    let mut empty: Option<OwnedFd> = None;
    let null = if paths.is_empty() { return Ok(()) } else { devices::host_null()? };
    for path in paths {
        let step = "mask";
        let target = match root.resolve(Path::new(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            other => other.at(step, path)?,
        };
        if !root::is_directory(&target).at(step, path)? {
            let cover = mount::clone_fd(&null, false).at(step, path)?;
            mount::attach(cover, &target).at(step, path)?;
            continue;
        }
        match &empty {
            // Attached by now: before Linux 6.15 a mount that is not cannot be copied (open_tree(2), EINVAL).
            Some(empty) => {
                let cover = mount::clone_fd(empty, false).at(step, path)?;
                mount::attach(cover, &target).at(step, path)?;
            }
            None => {
                let made = empty.insert(empty_directory()?);
                mount::attach(made, &target).at(step, path)?;
            }
        }
    }
    Ok(())
}

fn empty_directory() -> Result<OwnedFd, Failure> {
    let attributes =
        Attributes::RDONLY.and(Attributes::NOSUID).and(Attributes::NODEV).and(Attributes::NOEXEC);
    mount::new_filesystem("tmpfs", Some("tmpfs"), &["nr_blocks=1", "nr_inodes=1", "mode=0755"], attributes)
        .map_err(failed("mount tmpfs for masks"))
}

/// Makes each path and what is mounted below it read-only, by a bind of it onto itself.
pub(crate) fn protect(paths: &[String], root: &Root) -> Result<(), Failure> {
    for path in paths {
        let step = "make read-only";
        let target = match root.resolve(Path::new(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            other => other.at(step, path)?,
        };
        let bind = mount::clone_fd(&target, true).at(step, path)?;
        mount::set_attributes(&bind, Attributes::RDONLY, Attributes::NONE, true).at(step, path)?;
        mount::attach(&bind, &target).at(step, path)?;
    }
    Ok(())
}
