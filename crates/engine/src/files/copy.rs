//! `docker cp`

use super::{ArchiveStream, Error, pipe, pipe::Source, root};
use crate::{
    Engine, blocking,
    container::{Container, Record},
    events::Kind,
};
use api_types::PathStat;
use archive::copy::{self, PutOptions};
use model::{ContainerGid, ContainerUid, ErrorKind, Timestamp};
use std::{
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::oneshot;

/// What `PUT /containers/{id}/archive` was told.
#[derive(Debug, Clone, Copy, Default)]
pub struct PutRequest {
    /// Refuse to replace a directory by something else, or the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// Everything belongs to the container's user.
    pub copy_uid_gid: bool,
}

/// What is at `path` in a container.
pub async fn stat_path(engine: &Arc<Engine>, reference: &str, path: &str) -> Result<PathStat, crate::Error> {
    let subject = Subject::find(engine, reference, path)?;
    let engine = engine.clone();
    blocking("look at a path", move || {
        let stat = root::with_root(&engine, &subject.record, |root| {
            copy::open(root, &subject.path).map(|resource| wire(resource.stat()))
        })?;
        stat.map_err(|error| subject.failure(error))
    })
    .await?
}

/// What is at `path` in a container, as an archive.
///
/// The archive is made while it is taken; dropping the stream stops it.
pub async fn get_archive(
    engine: &Arc<Engine>,
    reference: &str,
    path: &str,
) -> Result<(PathStat, ArchiveStream), crate::Error> {
    let subject = Subject::find(engine, reference, path)?;
    let (sink, stream) = pipe::pipe();
    let (found, told) = oneshot::channel();
    let task_engine = engine.clone();
    let task_subject = subject.clone();
    let work = tokio::task::spawn_blocking(move || {
        let subject = task_subject;
        root::with_root(&task_engine, &subject.record, |root| send(root, &subject, found, sink))
    });
    match told.await {
        Ok(stat) => {
            let stat = stat?;
            subject.publish(engine, "archive-path");
            Ok((stat, stream))
        }
        // The thread ended before it had anything to tell.
        Err(_) => match work.await {
            Ok(Err(error)) => Err(error),
            _ => Err(crate::Error::Panicked { operation: "copy from container" }),
        },
    }
}

fn send(
    root: BorrowedFd<'_>,
    subject: &Subject,
    found: oneshot::Sender<Result<PathStat, crate::Error>>,
    mut sink: pipe::Sink,
) {
    let resource = match copy::open(root, &subject.path) {
        Ok(resource) => resource,
        // The receiver is gone when the client is; then nobody needs the failure.
        Err(error) => return drop(found.send(Err(subject.failure(error)))),
    };
    if found.send(Ok(wire(resource.stat()))).is_ok() {
        let outcome = resource.write_archive(&mut sink);
        sink.finish(outcome);
    }
}

/// Unpacks an archive in a directory of a container.
pub async fn put_archive(
    engine: &Arc<Engine>,
    reference: &str,
    path: &str,
    request: PutRequest,
    archive: ArchiveStream,
) -> Result<(), crate::Error> {
    let subject = Subject::find(engine, reference, path)?;
    subject.check_writable()?;
    let (task_engine, task_subject) = (engine.clone(), subject.clone());
    blocking("copy to container", move || {
        let subject = task_subject;
        root::with_root(&task_engine, &subject.record, |root| {
            let owner = request.copy_uid_gid.then(|| owner(root, &subject.record)).transpose()?;
            let options = PutOptions { overwrite_kinds: !request.no_overwrite_dir_non_dir, owner };
            copy::put(root, &subject.path, Source::new(archive), options)
                .map_err(|error| subject.failure(error))
        })?
    })
    .await??;
    subject.publish(engine, "extract-to-dir");
    Ok(())
}

/// The container's user, for `copyUIDGID`.
fn owner(root: BorrowedFd<'_>, record: &Record) -> Result<(ContainerUid, ContainerGid), crate::Error> {
    let user = spec::user::resolve(root, &record.config.user, &[]).map_err(spec::Error::from)?;
    Ok((ContainerUid(user.uid), ContainerGid(user.gid)))
}

/// A path in a container.
#[derive(Clone)]
struct Subject {
    container: Arc<Container>,
    record: Arc<Record>,
    reference: String,
    path: PathBuf,
    /// As the client wrote it.
    asked: String,
}

impl Subject {
    fn find(engine: &Engine, reference: &str, path: &str) -> Result<Self, crate::Error> {
        let container = engine.containers.find(reference)?;
        let record = container.record();
        // Relative to the root, not to the working directory (moby `daemon/archive_unix.go`).
        let absolute = Path::new("/").join(path);
        Ok(Self {
            container,
            record,
            reference: reference.to_owned(),
            path: absolute,
            asked: path.to_owned(),
        })
    }

    fn failure(&self, error: archive::Error) -> crate::Error {
        let error = match error {
            error if error.kind() == ErrorKind::NotFound => {
                Error::NotFound { path: self.asked.clone(), reference: self.reference.clone() }
            }
            archive::Error::NotADirectory { path } => {
                Error::NotADirectory { path: path.to_string_lossy().into_owned() }
            }
            error => Error::Archive(error),
        };
        error.into()
    }

    /// A read-only root or mount is not written to from outside either. The kernel would refuse as well, but for a
    /// stopped container's root, which is mounted writable here.
    fn check_writable(&self) -> Result<(), Error> {
        let below = |mount: &&crate::container::record::Mount| self.path.starts_with(&mount.destination);
        let mount = self.record.mounts.iter().filter(below).max_by_key(|mount| mount.destination.len());
        match mount {
            Some(mount) if !mount.rw => Err(Error::ReadOnlyMount),
            None if self.record.host_config.readonly_rootfs => Err(Error::ReadOnlyRoot),
            _ => Ok(()),
        }
    }

    fn publish(&self, engine: &Engine, action: &str) {
        let mut attributes = self.container.record().attributes();
        attributes.insert("path".to_owned(), self.asked.clone());
        engine.events.publish(Kind::Container, action, self.record.id.as_str(), attributes);
    }
}

fn wire(stat: &copy::PathStat) -> PathStat {
    PathStat {
        name: stat.name.to_string_lossy().into_owned(),
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: stat.go_mode(),
        mtime: Timestamp::from_unix(stat.mtime.0, stat.mtime.1).to_string(),
        link_target: stat.link_target.to_string_lossy().into_owned(),
    }
}
