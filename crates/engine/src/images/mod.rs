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
pub(crate) use usage::{left_behind, made_of, release, uses};

use crate::{Engine, events::Kind};
use api_types::Map;
use image::Image;

/// Tells of `action` on an image: under its ID or a reference, with its labels and the name it was called by.
fn publish(engine: &Engine, action: &str, actor: &str, name: &str, image: Option<&Image>) {
    let mut attributes: Map<String> =
        image.map(|image| image.config.config.labels.clone()).unwrap_or_default();
    attributes.insert("name".to_owned(), name.to_owned());
    engine.events.publish(Kind::Image, action, actor, attributes);
}
