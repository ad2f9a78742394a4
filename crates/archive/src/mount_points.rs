//! What runtimes make in a container's tree to mount on.

use crate::walk::Found;
use rustix::fs::{self, FileType};
use std::io;

/// Directories and files that every container has mounts on. Docker's list (moby `daemon/initlayer/setup_unix.go`), but
/// for the link /etc/mtab.
pub const DIRECTORIES: &[&str] = &["dev/pts", "dev/shm", "proc", "sys"];
pub const FILES: &[&str] = &[DOCKERENV, "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// By which programs tell that they are in a container.
pub const DOCKERENV: &str = ".dockerenv";

/// Whether something that was not in the image is such a mount point: an empty file or a directory of these, or the
/// link that Docker makes.
pub(crate) fn is_made(found: &Found<'_>) -> io::Result<bool> {
    let Ok(path) = std::str::from_utf8(found.path) else { return Ok(false) };
    Ok(match found.kind() {
        FileType::Directory => {
            let below = |top: &&str| top.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            DIRECTORIES.contains(&path) || DIRECTORIES.iter().any(below)
        }
        FileType::RegularFile => FILES.contains(&path) && found.stat.st_size == 0,
        FileType::Symlink if path == "etc/mtab" => {
            fs::readlinkat(found.dir, found.name, Vec::new())?.as_bytes() == b"/proc/mounts"
        }
        _ => false,
    })
}
