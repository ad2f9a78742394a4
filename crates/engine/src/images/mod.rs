//! Verbs for images, on crate `image`: which parameters mean what, what containers use, events, and the wire form.

mod commit;
mod import;
mod inspect;
mod list;
mod load;
mod manifests;
pub mod platform;
mod prune;
mod pull;
mod push;
mod registry;
mod remove;
mod save;
mod tag;
mod usage;

pub use commit::{CommitOptions, commit};
pub use image::{LoadOptions, Message, Platform, Progress, RegistryAuth, RemoveOptions};
pub use import::{ImportOptions, import, import_from};
pub use inspect::{InspectOptions, history, inspect};
pub use list::{ListOptions, list};
pub use load::load;
pub(crate) use platform::warning as platform_warning;
pub use prune::prune;
pub use pull::{PullOptions, pull};
pub use push::{PushOptions, push};
pub use registry::{distribution, login, search};
pub use remove::remove;
pub use save::save;
pub use tag::{repository, tag};
pub(crate) use usage::{collect_garbage, left_behind, made_of, release, uses};

use crate::{Engine, Error, events::Kind, signal};
use api_types::Map;
use image::{ContainerConfig, Image};

/// Tells of `action` on an image: under its ID or a reference, with its labels and the name it was called by.
fn publish(engine: &Engine, action: &str, actor: &str, name: &str, image: Option<&Image>) {
    let mut attributes: Map<String> =
        image.map(|image| image.config.config.labels.clone()).unwrap_or_default();
    attributes.insert("name".to_owned(), name.to_owned());
    engine.events.publish(Kind::Image, action, actor, attributes);
}

/// What of Dockerfile instructions only the engine can check.
fn check_changes(changes: &[String]) -> Result<(), Error> {
    let mut config = ContainerConfig::default();
    image::changes::apply(&mut config, changes).map_err(image::Error::from)?;
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_changes;

    #[test]
    fn a_stop_signal_is_one() {
        let check = |change: &str| check_changes(&[change.to_owned()]).map_err(|error| error.to_string());
        for signal in ["SIGQUIT", "usr1", "9", "RTMIN+3"] {
            assert_eq!(check(&format!("STOPSIGNAL {signal}")), Ok(()));
        }
        assert!(check("STOPSIGNAL NOPE").unwrap_err().to_lowercase().contains("invalid signal: nope"));
        assert_eq!(check("RUN x").unwrap_err(), "RUN is not a valid change command");
        assert_eq!(check("USER me"), Ok(()));
    }
}
