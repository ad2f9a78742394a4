//! From recorded mounts to what the runtime mounts.

use crate::{
    Engine, Error,
    container::{Record, record::Mount, record::MountKind},
    etc_files, init,
    mounts::images,
};
use rustix::io::Errno;
use spec::{BindPropagation, PlannedMount};
use std::{
    fs::DirBuilder,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Every mount beyond the defaults: the container's own, its files in /etc, and the init at `init`. Missing directories
/// of `-v` are made. Blocks.
pub(crate) fn plan(engine: &Engine, record: &Record, init: Option<&str>) -> Result<Vec<PlannedMount>, Error> {
    let mut planned: Vec<PlannedMount> =
        record.mounts.iter().map(|mount| one(engine, record, mount)).collect::<Result<_, _>>()?;
    let taken = |path: &Path| record.mounts.iter().any(|m| Path::new(&m.destination) == path);
    for (source, destination) in etc_files::mounts(engine, record)? {
        if !taken(&destination) {
            planned.push(bind(source, destination, record.host_config.readonly_rootfs));
        }
    }
    if let Some(destination) = init {
        planned.push(bind(init::file(engine)?, destination.into(), true));
    }
    Ok(planned)
}

fn bind(source: PathBuf, destination: PathBuf, read_only: bool) -> PlannedMount {
    PlannedMount::Bind {
        source,
        destination,
        read_only,
        recursive_read_only: false,
        non_recursive: false,
        propagation: BindPropagation::RPrivate,
    }
}

fn one(engine: &Engine, record: &Record, mount: &Mount) -> Result<PlannedMount, Error> {
    let destination = PathBuf::from(&mount.destination);
    let source = match mount.kind {
        MountKind::Tmpfs => {
            return Ok(PlannedMount::Tmpfs { destination, options: tmpfs_options(&mount.options) });
        }
        MountKind::Volume => below(engine.volumes.mount(&mount.name, &record.id)?, &mount.subpath)?,
        MountKind::Image if images::is_empty(mount) => return nothing(mount, destination),
        MountKind::Image => images::source(engine, record, mount),
        MountKind::Bind => {
            let source = PathBuf::from(&mount.source);
            if mount.create_source {
                make_source(&source)?;
            }
            source
        }
    };
    Ok(PlannedMount::Bind {
        source,
        destination,
        read_only: !mount.rw,
        recursive_read_only: !mount.rw && mount.kind == MountKind::Bind && !mount.read_only_non_recursive,
        non_recursive: mount.non_recursive,
        propagation: propagation(&mount.propagation),
    })
}

/// An image without layers: a directory that stays empty.
fn nothing(mount: &Mount, destination: PathBuf) -> Result<PlannedMount, Error> {
    if !mount.subpath.is_empty() {
        return Err(Error::NotAccessible { path: (&mount.subpath).into(), source: Errno::NOENT.into() });
    }
    let options = ["ro", "nosuid", "nodev", "noexec", "size=4k", "mode=755"].map(str::to_owned);
    Ok(PlannedMount::Tmpfs { destination, options: options.into() })
}

/// Docker's defaults, where the request does not say the opposite.
fn tmpfs_options(asked: &[String]) -> Vec<String> {
    let defaults = [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")];
    let kept = defaults.iter().filter(|(_, opposite)| !asked.iter().any(|o| o == opposite));
    kept.map(|(default, _)| (*default).to_owned()).chain(asked.iter().cloned()).collect()
}

/// The real place of `subpath`, whose symbolic links containers have made: none may lead out of the volume (moby
/// `safepath.Join`).
pub(crate) fn below(source: PathBuf, subpath: &str) -> Result<PathBuf, Error> {
    if subpath.is_empty() {
        return Ok(source);
    }
    let found = subpath_in(sys::mount::open_path(&source)?, &source, subpath)?;
    let here = format!("/proc/self/fd/{}", found.as_raw_fd());
    std::fs::read_link(&here).map_err(Error::file("read link", here))
}

/// What is at the subpath of a mount's tree, which is shown as `base`.
pub(super) fn subpath_in(tree: impl AsFd, base: &Path, subpath: &str) -> Result<OwnedFd, Error> {
    sys::resolve::beneath(tree, subpath).map_err(|failed| unreachable(failed, base, subpath))
}

/// Only what is true of the path itself is told of the path; that descriptors or memory ran out is not.
fn unreachable(failed: sys::Error, base: &Path, subpath: &str) -> Error {
    match failed.errno {
        Errno::XDEV | Errno::LOOP => {
            Error::EscapesVolume { base: base.to_owned(), subpath: subpath.to_owned() }
        }
        Errno::NOENT | Errno::NOTDIR | Errno::ACCESS => {
            Error::NotAccessible { path: base.join(subpath), source: failed.errno.into() }
        }
        _ => failed.into(),
    }
}

/// `-v` makes a directory where there is nothing, as Docker does.
fn make_source(source: &Path) -> Result<(), Error> {
    match DirBuilder::new().recursive(true).create(source) {
        // There is a file, a socket, or something that cannot be looked at; mounting tells.
        Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) => Ok(()),
        made => made.map_err(Error::file("error while creating mount source path", source)),
    }
}

fn propagation(text: &str) -> BindPropagation {
    match text {
        "private" => BindPropagation::Private,
        "rshared" => BindPropagation::RShared,
        "shared" => BindPropagation::Shared,
        "rslave" => BindPropagation::RSlave,
        "slave" => BindPropagation::Slave,
        _ => BindPropagation::RPrivate,
    }
}

#[cfg(test)]
mod tests {
    use super::{below, tmpfs_options, unreachable};
    use crate::Error;
    use rustix::io::Errno;
    use std::{fs, os::unix::fs::symlink, path::Path};

    #[test]
    fn links_below_a_volume_stay_in_it() {
        let volume = tempfile::tempdir().unwrap();
        let root = volume.path().canonicalize().unwrap();
        fs::create_dir(root.join("a")).unwrap();
        symlink("a", root.join("good")).unwrap();
        symlink("../..", root.join("up")).unwrap();
        symlink("/", root.join("absolute")).unwrap();
        let below = |subpath: &str| below(root.clone(), subpath).map_err(|e| e.to_string());
        assert_eq!(below("").unwrap(), root);
        assert_eq!(below("good").unwrap(), root.join("a"));
        for bad in ["up", "absolute", "up/etc", "good/../up"] {
            assert_eq!(
                below(bad).unwrap_err(),
                format!(
                    "path concatenation escapes the base directory, base: {}, subpath: {bad}",
                    root.display()
                )
            );
        }
        let missing = format!("cannot access path {}", root.join("none").display());
        assert!(below("none").unwrap_err().starts_with(&missing));
    }

    /// Whoever looks at a stopped container's files leaves out what is not there, and nothing else.
    #[test]
    fn what_is_not_about_the_path_is_not_told_of_the_path() {
        let of = |errno| {
            unreachable(sys::Error { call: "openat2", args: "sub".into(), errno }, Path::new("/v"), "sub")
        };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::PERM, Errno::AGAIN] {
            let error = of(errno);
            assert_eq!(error.to_string(), format!("openat2(sub): {errno}"));
            assert!(!matches!(error, Error::NotAccessible { .. } | Error::EscapesVolume { .. }), "{error}");
        }
        for errno in [Errno::NOENT, Errno::NOTDIR, Errno::ACCESS] {
            assert_eq!(
                of(errno).to_string(),
                format!("cannot access path /v/sub: {}", std::io::Error::from(errno))
            );
        }
    }

    #[test]
    fn a_tmpfs_is_locked_down_unless_asked_otherwise() {
        let asked =
            |text: &str| tmpfs_options(&text.split(',').map(str::to_owned).collect::<Vec<_>>()).join(",");
        assert_eq!(asked("size=64k"), "noexec,nosuid,nodev,size=64k");
        assert_eq!(asked("exec,mode=700"), "nosuid,nodev,exec,mode=700");
    }
}
