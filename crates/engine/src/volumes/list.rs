//! `docker volume ls`, `docker volume inspect`

use crate::{Engine, Error, filters::Filters};
use api_types::{Volume as Wire, VolumeList, VolumeUsage};
use volume::{DRIVER, Volume};

/// The volumes that fit, by name.
pub fn list(engine: &Engine, filters: &Filters) -> Result<VolumeList, Error> {
    filters.only(&["dangling", "driver", "label", "name"])?;
    let dangling = filters.contains("dangling").then(|| filters.boolean("dangling", false)).transpose()?;
    let fits = |volume: &Volume| {
        filters.exact("driver", DRIVER)
            && filters.matches("name", &volume.name)
            && filters.labels("label", |key| volume.labels.get(key).map(String::as_str))
            && dangling.is_none_or(|wanted| engine.volumes.holders(&volume.name).is_empty() == wanted)
    };
    let volumes =
        engine.volumes.list().into_iter().filter(fits).map(|volume| super::wire(engine, volume)).collect();
    Ok(VolumeList { volumes, warnings: Vec::new() })
}

pub fn inspect(engine: &Engine, name: &str) -> Result<Wire, Error> {
    Ok(super::wire(engine, engine.volumes.get(name)?))
}

/// Every volume whose files are here, with how much they occupy (`docker system df`). Walks all of them.
pub fn with_usage(engine: &Engine) -> Result<Vec<Wire>, Error> {
    let mut usage = Vec::new();
    for volume in engine.volumes.list() {
        let size = match engine.volumes.size(&volume.name) {
            Ok(Some(size)) => i64::try_from(size).unwrap_or(i64::MAX),
            // Mounted from elsewhere, or removed while we looked.
            Ok(None) | Err(volume::Error::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let holders = engine.volumes.holders(&volume.name).len();
        let ref_count = i64::try_from(holders).unwrap_or(i64::MAX);
        usage.push(Wire { usage_data: Some(VolumeUsage { ref_count, size }), ..super::wire(engine, volume) });
    }
    Ok(usage)
}
