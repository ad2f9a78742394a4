//! `docker export`

use super::{ArchiveStream, pipe, root};
use crate::{Engine, Error, blocking, events::Kind};
use std::{os::fd::AsFd, sync::Arc};

/// A container's whole tree as an archive, without what is mounted in it but with what it is mounted on, as in Docker
/// whether or not the container ever ran. Dropping the stream stops it.
pub async fn export(engine: &Arc<Engine>, reference: &str) -> Result<ArchiveStream, Error> {
    let container = engine.containers.find(reference)?;
    let record = container.record();
    let (task_engine, task_record) = (engine.clone(), record.clone());
    let tree = blocking("export container", move || {
        if task_record.state.run().is_none() {
            root::make_mount_points(&task_engine, &task_record)?;
        }
        root::tree(&task_engine, &task_record)
    })
    .await??;
    let (mut sink, stream) = pipe::pipe();
    tokio::task::spawn_blocking(move || {
        let outcome = archive::pack::tree(tree.as_fd(), &mut sink);
        sink.finish(outcome);
    });
    engine.events.publish(Kind::Container, "export", record.id.as_str(), record.attributes());
    Ok(stream)
}
