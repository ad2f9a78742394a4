//! What launcher and engine say on standard error.

use super::config::Logging;
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// What is said from now on; see [`Level::set`].
pub(crate) struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    pub(crate) fn set(&self, level: LevelFilter) {
        if let Err(error) = self.0.reload(level) {
            tracing::error!(%error, "change the log level");
        }
    }
}

/// Start logging. Once a process.
pub(crate) fn start(config: &Logging) -> Level {
    let (filter, handle) = reload::Layer::new(config.level);
    let format = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(config.colour && std::io::stderr().is_terminal());
    let format = if config.json { format.json().flatten_event(true).boxed() } else { format.boxed() };
    tracing_subscriber::registry().with(filter).with(format).init();
    Level(handle)
}
