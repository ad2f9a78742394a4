//! Verbs for volumes, on crate `volume`: filters, events, and the wire form.

mod create;
mod list;
mod prune;
mod remove;

pub use create::create;
pub use list::{inspect, list, with_usage};
pub use prune::prune;
pub use remove::remove;

use crate::{Engine, events::Kind};
use api_types::{Map, Volume as Wire};
use volume::{DRIVER, Volume};

fn wire(engine: &Engine, volume: Volume) -> Wire {
    Wire {
        // Docker writes whole seconds here (moby `volume/service/convert.go`).
        created_at: model::Timestamp::from_unix(volume.created.unix_seconds(), 0).to_string(),
        driver: DRIVER.to_owned(),
        labels: volume.labels,
        mountpoint: engine.volumes.mountpoint(&volume.name).to_string_lossy().into_owned(),
        name: volume.name,
        options: volume.options,
        scope: "local".to_owned(),
        ..Wire::default()
    }
}

fn publish(engine: &Engine, action: &str, name: &str) {
    let attributes = Map::from([("driver".to_owned(), DRIVER.to_owned())]);
    engine.events.publish(Kind::Volume, action, name, attributes);
}
