//! `docker version`

use super::host;
use crate::Engine;
use api_types::{ComponentVersion, Map, Version, VersionPlatform};

/// What is running. `max` and `min` are the API versions that the server speaks.
pub fn version(engine: &Engine, max: &str, min: &str) -> Version {
    let kernel = host::kernel();
    let detail = |pairs: &[(&str, &str)]| -> Map<String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let arch = host::go_arch();
    let lichen = ComponentVersion {
        name: "Engine".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        details: detail(&[
            ("ApiVersion", max),
            ("Arch", arch),
            ("Experimental", "false"),
            ("KernelVersion", &kernel.release),
            ("MinAPIVersion", min),
            ("Os", "linux"),
        ]),
    };
    let outward = engine.networks.outward();
    let state = engine.config.run.root().to_string_lossy();
    // What RootlessKit says of itself to dockerd's clients.
    let drivers = ComponentVersion {
        name: "lichen".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        details: detail(&[
            ("NetworkDriver", outward.driver),
            ("PortDriver", outward.port_driver),
            ("StateDir", &state),
        ]),
    };
    let is_program = !matches!(outward.driver, "lichen" | "none");
    let program =
        ComponentVersion { name: outward.driver.to_owned(), version: outward.version, details: Map::new() };
    Version {
        platform: VersionPlatform { name: "Lichen".to_owned() },
        components: [lichen, drivers].into_iter().chain(is_program.then_some(program)).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_version: max.to_owned(),
        min_api_version: min.to_owned(),
        os: "linux".to_owned(),
        arch: arch.to_owned(),
        kernel_version: kernel.release,
        ..Version::default()
    }
}
