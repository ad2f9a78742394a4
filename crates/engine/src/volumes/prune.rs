//! `docker volume prune`

use crate::{Engine, Error, blocking, events::Kind, filters::Filters};
use api_types::{Map, VolumesPruneReport};
use std::sync::Arc;
use volume::Volume;

/// Removes volumes that no container uses: anonymous ones, and with the filter `all` named ones too.
///
/// As in Docker, volumes with options stay: their data is elsewhere, so no space would be won.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<VolumesPruneReport, Error> {
    filters.only(&["all", "label", "label!"])?;
    let all = filters.boolean("all", false)?;
    let (engine, filters) = (engine.clone(), filters.clone());
    blocking("prune volumes", move || {
        let fits = |volume: &Volume| {
            volume.options.is_empty()
                && (all || volume.is_anonymous())
                && filters.wanted_labels(&volume.labels)
        };
        let mut report = VolumesPruneReport::default();
        for volume in engine.volumes.list().iter().filter(|volume| fits(volume)) {
            remove_unused(&engine, &volume.name, &mut report)?;
        }
        let attributes = Map::from([("reclaimed".to_owned(), report.space_reclaimed.to_string())]);
        engine.events.publish(Kind::Volume, "prune", "", attributes);
        Ok(report)
    })
    .await?
}

fn remove_unused(engine: &Engine, name: &str, report: &mut VolumesPruneReport) -> Result<(), Error> {
    if !engine.volumes.holders(name).is_empty() {
        return Ok(());
    }
    let size = engine.volumes.size(name).ok().flatten().unwrap_or(0);
    match engine.volumes.remove(name) {
        Ok(()) => {
            super::publish(engine, "destroy", name);
            report.volumes_deleted.push(name.to_owned());
            report.space_reclaimed += size;
            Ok(())
        }
        // Somebody was faster: a container took it, or another client removed it.
        Err(volume::Error::InUse { .. } | volume::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
