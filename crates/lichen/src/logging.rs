//! The engine's own messages, on standard error: the service manager's journal, or the terminal.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging; called once, by the launcher and by the engine.
///
/// `LICHEN_LOG`, in tracing's syntax (`engine=debug,network=trace`), overrides `level`.
pub(crate) fn start(level: &str, json: bool) {
    let filter = EnvFilter::try_from_env("LICHEN_LOG").unwrap_or_else(|_| EnvFilter::new(directive(level)));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init();
    }
}

/// dockerd's levels are logrus': `fatal` and `panic` have no counterpart below `error`.
fn directive(level: &str) -> &str {
    match level {
        "fatal" | "panic" => "error",
        other => other,
    }
}

/// The levels that `--log-level` takes.
pub(crate) const LEVELS: &[&str] = &["debug", "info", "warn", "error", "fatal"];
