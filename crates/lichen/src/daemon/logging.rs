//! What launcher and engine say on standard error.

use super::config::Logging;
use std::io::IsTerminal;

/// Start logging. Once a process.
pub(crate) fn start(config: &Logging) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(config.level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(config.colour && std::io::stderr().is_terminal());
    if config.json {
        builder.json().flatten_event(true).init();
    } else {
        builder.init();
    }
}
