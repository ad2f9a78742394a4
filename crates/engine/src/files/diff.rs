//! `docker diff`

use crate::{Engine, Error, blocking};
use api_types::FilesystemChange;
use archive::Change;
use std::sync::Arc;

/// What differs between a container's tree and its image, by path.
pub async fn changes(engine: &Arc<Engine>, reference: &str) -> Result<Vec<FilesystemChange>, Error> {
    let container = engine.containers.find(reference)?;
    let engine = engine.clone();
    let changes = blocking("compare container", move || engine.snapshots.changes(container.id())).await??;
    let wire = |change: Change| FilesystemChange {
        kind: change.kind as u8,
        path: change.path.to_string_lossy().into_owned(),
    };
    Ok(changes.into_iter().map(wire).collect())
}
