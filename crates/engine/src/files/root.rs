//! Reaching a container's root directory, running or stopped.

use super::Error;
use crate::{
    Engine,
    container::{
        Record,
        record::{Mount, MountKind},
    },
};
use model::{Id, ProcessRef, Rootfs};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, StatxFlags},
    io::Errno,
};
use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};
use sys::{
    mount::{Attributes, Propagation},
    namespaces,
    resolve::in_root,
};

/// Calls `work` with the container's root directory, with everything mounted in it that the container has or would
/// have. Blocks.
pub(super) fn with_root<R: Send>(
    engine: &Engine,
    record: &Record,
    work: impl FnOnce(BorrowedFd<'_>) -> R + Send,
) -> Result<R, crate::Error> {
    if let Some(run) = record.state.run() {
        let root = of_process(&record.id, run.process)?;
        return Ok(work(root.as_fd()));
    }
    let volumes = Volumes::mount(engine, record)?;
    // Mounted out here: a program that serves the tree (fuse-overlayfs) must not be started in the namespace that the
    // tree is attached in, or namespace, mount and program would keep each other alive for ever.
    let tree = mount_detached(record, &crate::plan::rootfs(engine, record)?)?;
    let images = images(engine, record)?;
    // A thread of its own, because a mount namespace belongs to a thread: what is mounted for the look goes away with
    // it, whatever happens, and neither the engine nor a container ever sees it.
    std::thread::scope(|scope| {
        let look = || in_private_namespace(engine, record, &volumes, tree, &images, work);
        let thread = std::thread::Builder::new().name("files".to_owned()).spawn_scoped(scope, look);
        let thread = thread.map_err(crate::Error::file("start a thread for", "files"))?;
        thread.join().map_err(|_| crate::Error::Panicked { operation: "files" })?
    })
}

/// A descriptor of a running container's root. Magic links are followed by the kernel alone, so this is the root of
/// that very process; whether it is still the one that was meant is checked afterwards.
fn of_process(id: &Id, process: ProcessRef) -> Result<OwnedFd, crate::Error> {
    let path = format!("/proc/{}/root", process.pid);
    let failed = |source| Error::OpenRoot { id: id.to_string(), source };
    let root = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed(errno.into()))?;
    if sys::process::is_alive(process) { Ok(root) } else { Err(failed(Errno::SRCH.into()).into()) }
}

/// The container's tree as it stands, as a detached, read-only mount: what the container writes meanwhile may or may
/// not be seen. Nothing is mounted in it.
pub(super) fn tree(engine: &Engine, record: &Record) -> Result<OwnedFd, crate::Error> {
    // A running container has the one writable mount that there may be.
    Ok(mount_detached(record, &crate::plan::rootfs(engine, record)?.read_only())?)
}

/// Makes in a stopped container's tree what every container has mounts on, as a start would.
pub(super) fn make_mount_points(engine: &Engine, record: &Record) -> Result<(), crate::Error> {
    let tree = mount_detached(record, &crate::plan::rootfs(engine, record)?)?;
    let directories = archive::mount_points::DIRECTORIES.iter().map(|path| (path, true));
    let files = archive::mount_points::FILES.iter().map(|path| (path, false));
    for (path, directory) in directories.chain(files) {
        make_target(tree.as_fd(), Path::new(path), directory)
            .map_err(|source| Error::Mount { id: record.id.to_string(), source })?;
    }
    Ok(())
}

fn mount_detached(record: &Record, rootfs: &Rootfs) -> Result<OwnedFd, Error> {
    sys::overlay::mount_detached(rootfs).map_err(|source| Error::Mount { id: record.id.to_string(), source })
}

/// The container's volumes, mounted as for a start, until dropped.
struct Volumes<'a> {
    engine: &'a Engine,
    /// Stands for this look, so that a start of the container meanwhile does not share its mounts' fate.
    user: Id,
    names: Vec<String>,
}

impl<'a> Volumes<'a> {
    fn mount(engine: &'a Engine, record: &Record) -> Result<Self, crate::Error> {
        let mut volumes = Self { engine, user: Id::random(), names: Vec::new() };
        for mount in record.volumes() {
            engine.volumes.mount(&mount.name, &volumes.user)?;
            volumes.names.push(mount.name.clone());
        }
        Ok(volumes)
    }
}

impl Drop for Volumes<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = self.engine.volumes.unmount(name, &self.user) {
                tracing::warn!(%error, "after looking at a stopped container's files");
            }
        }
    }
}

fn in_private_namespace<R>(
    engine: &Engine,
    record: &Record,
    _volumes: &Volumes<'_>,
    tree: OwnedFd,
    images: &[(&str, OwnedFd)],
    work: impl FnOnce(BorrowedFd<'_>) -> R,
) -> Result<R, crate::Error> {
    let failed = |source| Error::Mount { id: record.id.to_string(), source };
    namespaces::unshare(namespaces::Set::of(&[namespaces::Kind::Mount])).map_err(failed)?;
    let slash = sys::mount::open_path(Path::new("/")).map_err(failed)?;
    sys::mount::set_propagation(&slash, Propagation::Private, true).map_err(failed)?;

    let place = engine.config.data.tmp().join("files");
    fs::create_dir_all(&place).map_err(crate::Error::file("make directory", &place))?;
    sys::mount::attach(&tree, sys::mount::open_path(&place).map_err(failed)?).map_err(failed)?;
    // The tree's own descriptor is the mounted root now, so what is attached below it is seen through it.
    let mut mounts: Vec<&Mount> = record.mounts.iter().collect();
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    for mount in mounts {
        match images.iter().find(|(destination, _)| *destination == mount.destination) {
            Some((_, image)) => attach_at(image.as_fd(), mount, tree.as_fd()).map_err(failed)?,
            None => attach(engine, mount, tree.as_fd()).map_err(failed)?,
        }
    }
    Ok(work(tree.as_fd()))
}

/// Attaches one mount of the container below its root. What a start would find missing is left out.
fn attach(engine: &Engine, mount: &Mount, root: BorrowedFd<'_>) -> Result<(), sys::Error> {
    let source = match mount.kind {
        MountKind::Volume => engine.volumes.mountpoint(&mount.name),
        MountKind::Bind => PathBuf::from(&mount.source),
        // Mounted with the others of its kind; a tmpfs is empty until the container runs.
        MountKind::Image | MountKind::Tmpfs => return Ok(()),
    };
    let source = match source_below(&source, &mount.subpath) {
        Err(error) if error.errno == Errno::NOENT => return Ok(()),
        opened => opened?,
    };
    let copy = sys::mount::clone_fd(&source, !mount.non_recursive)?;
    if !mount.rw {
        sys::mount::set_attributes(&copy, Attributes::RDONLY, Attributes::NONE, false)?;
    }
    attach_at(copy.as_fd(), mount, root)
}

/// Attaches a detached mount at the container's destination.
fn attach_at(source: BorrowedFd<'_>, mount: &Mount, root: BorrowedFd<'_>) -> Result<(), sys::Error> {
    let is_directory = rustix::fs::statx(source, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)
        .map(|stat| FileType::from_raw_mode(stat.stx_mode.into()).is_dir())
        .map_err(sys::Error::of("statx", &mount.source))?;
    let target = make_target(root, Path::new(&mount.destination), is_directory)?;
    sys::mount::attach(source, target)
}

/// The images that the container has mounted, by destination.
fn images<'a>(engine: &Engine, record: &'a Record) -> Result<Vec<(&'a str, OwnedFd)>, crate::Error> {
    let mut opened = Vec::new();
    for mount in record.mounts.iter().filter(|mount| mount.kind == MountKind::Image) {
        match crate::mounts::images::open(engine, mount) {
            Ok(Some(image)) => {
                sys::mount::set_attributes(&image, Attributes::RDONLY, Attributes::NONE, true)?;
                opened.push((mount.destination.as_str(), image));
            }
            // A start says what is wrong with the subpath.
            Ok(None) | Err(crate::Error::EscapesVolume { .. }) => {}
            Err(crate::Error::NotAccessible { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(opened)
}

/// `subpath` is resolved below the source, which containers write to.
fn source_below(source: &Path, subpath: &str) -> Result<OwnedFd, sys::Error> {
    let source = sys::mount::open_path(source)?;
    if subpath.is_empty() { Ok(source) } else { in_root(source, subpath) }
}

/// The mount point, made where it is missing as a start would make it.
fn make_target(root: BorrowedFd<'_>, destination: &Path, directory: bool) -> Result<OwnedFd, sys::Error> {
    let mut here = in_root(root, "/")?;
    let mut path = PathBuf::from("/");
    let names: Vec<_> = destination
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    for (index, name) in names.iter().enumerate() {
        path.push(name);
        here = match in_root(root, &path) {
            Err(error) if error.errno == Errno::NOENT => {
                let describe = path.to_string_lossy();
                if directory || index + 1 < names.len() {
                    rustix::fs::mkdirat(&here, *name, Mode::from_raw_mode(0o755))
                        .map_err(sys::Error::of("mkdirat", describe))?;
                } else {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    rustix::fs::openat(&here, *name, flags, Mode::from_raw_mode(0o644))
                        .map_err(sys::Error::of("openat", describe))?;
                }
                in_root(root, &path)?
            }
            opened => opened?,
        };
    }
    Ok(here)
}
