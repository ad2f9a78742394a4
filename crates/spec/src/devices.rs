//! Host device nodes for `--device` and `--privileged`.
//!
//! Nodes cannot be made in a user namespace (mknod(2) wants CAP_MKNOD in the initial one), so the runtime binds the
//! host's own; whether opening one succeeds is up to its permissions on the host.

use crate::Error;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};
use rustix::fs::{FileType, Mode, OFlags};
use std::path::{Path, PathBuf};

/// Below these of /dev, a container has its own.
const OWN: &[&str] = &["pts", "shm", "fd", "mqueue", "console", "ptmx", ".lxc", ".lxd-mounts", ".udev"];

/// The device at `host`, or every one below it when it is a directory, to appear at `container`.
pub fn at(host: &Path, container: &Path) -> Result<Vec<LinuxDevice>, Error> {
    let meta = rustix::fs::stat(host).map_err(|source| Error::Device { path: host.to_owned(), source })?;
    if FileType::from_raw_mode(meta.st_mode) != FileType::Directory {
        return Ok(vec![node(host, container, &meta)?]);
    }
    let mut found = Vec::new();
    below(host, container, &mut found)?;
    if found.is_empty() { Err(Error::NotADevice(host.to_owned())) } else { Ok(found) }
}

/// Every device of the host, as `--privileged` gives them.
pub fn all() -> Result<Vec<LinuxDevice>, Error> {
    let mut found = Vec::new();
    below(Path::new("/dev"), Path::new("/dev"), &mut found)?;
    Ok(found)
}

fn below(host: &Path, container: &Path, found: &mut Vec<LinuxDevice>) -> Result<(), Error> {
    let failed = |source| Error::Device { path: host.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match rustix::fs::open(host, flags, Mode::empty()) {
        Ok(dir) => dir,
        // What the user may not even list cannot be opened below it either.
        Err(rustix::io::Errno::ACCESS) => return Ok(()),
        Err(errno) => return Err(failed(errno)),
    };
    for entry in rustix::fs::Dir::new(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") || (host == Path::new("/dev") && OWN.contains(&name)) {
            continue;
        }
        let (host, container) = (host.join(name), container.join(name));
        // Links are followed by nobody here: what they name is found by itself.
        let Ok(meta) = rustix::fs::lstat(&host) else { continue };
        match FileType::from_raw_mode(meta.st_mode) {
            FileType::Directory => below(&host, &container, found)?,
            FileType::CharacterDevice | FileType::BlockDevice => found.push(node(&host, &container, &meta)?),
            _ => {}
        }
    }
    Ok(())
}

fn node(host: &Path, container: &Path, meta: &rustix::fs::Stat) -> Result<LinuxDevice, Error> {
    let kind = match FileType::from_raw_mode(meta.st_mode) {
        FileType::CharacterDevice => LinuxDeviceType::C,
        FileType::BlockDevice => LinuxDeviceType::B,
        _ => return Err(Error::NotADevice(host.to_owned())),
    };
    let device = LinuxDeviceBuilder::default()
        .path(PathBuf::from(container))
        .typ(kind)
        .major(i64::from(rustix::fs::major(meta.st_rdev)))
        .minor(i64::from(rustix::fs::minor(meta.st_rdev)))
        .file_mode(meta.st_mode & 0o7777)
        .build()?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_described_by_its_numbers() {
        let found = at(Path::new("/dev/null"), Path::new("/dev/nothing")).unwrap();
        assert_eq!((found[0].major(), found[0].minor()), (1, 3));
        assert_eq!(found[0].path(), Path::new("/dev/nothing"));
    }

    #[test]
    fn a_file_is_no_device() {
        let error = at(Path::new("/etc/passwd"), Path::new("/x")).unwrap_err().to_string();
        assert!(error.ends_with("not a device node"), "{error}");
    }

    #[test]
    fn a_missing_device_is_named() {
        let error = at(Path::new("/dev/nope"), Path::new("/x")).unwrap_err().to_string();
        assert!(
            error
                .starts_with("error gathering device information while adding custom device \"/dev/nope\": "),
            "{error}"
        );
    }

    #[test]
    fn all_devices_leave_out_what_a_container_has_itself() {
        let all = all().unwrap();
        assert!(all.iter().any(|d| d.path() == Path::new("/dev/null")));
        assert!(!all.iter().any(|d| d.path().starts_with("/dev/pts")));
    }
}
