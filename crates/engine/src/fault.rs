//! Named places at which a test can have the engine die, as if it were killed there.
//!
//! With `LICHEN_FAULT=create.tree` in its environment a debug build aborts when it gets to `create.tree`; release
//! builds do not have the check. End-to-end tests kill an engine at each of [`POINTS`] and then assert what the next
//! one finds.
//!
//! * `start.shim:3` lets the point pass twice and aborts the third time.
//! * `exit.seen@/tmp/once` aborts only if it can make that file: the launcher starts the next engine with the same
//!   environment, and that one is to live.

/// Every fault point, in the order in which verbs come to them.
pub const POINTS: &[&str] = &[
    "create.record",
    "create.volumes",
    "create.tree",
    "create.done",
    "start.pending",
    "start.network",
    "start.shim",
    "start.created",
    "start.started",
    "start.done",
    "exec.started",
    "stop.signalled",
    "exit.seen",
    "exit.released",
    "exit.saved",
    "connect.made",
    "disconnect.made",
    "rm.marked",
    "rm.shim",
    "rm.tree",
    "rm.directory",
    "rm.volumes",
    "rm.done",
];

/// Dies here when the environment says so.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &'static str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };
    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);
    debug_assert!(POINTS.contains(&name), "{name} is missing from POINTS");
    let wanted = WANTED.get_or_init(|| std::env::var("LICHEN_FAULT").ok().map(|text| Wanted::parse(&text)));
    if let Some(wanted) = wanted
        && wanted.point == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == wanted.count
        && wanted.once.as_ref().is_none_or(|marker| std::fs::File::create_new(marker).is_ok())
    {
        eprintln!("LICHEN_FAULT: dying at {name}");
        std::process::abort();
    }
}

/// `POINT[:COUNT][@MARKER]`
#[cfg(debug_assertions)]
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    point: String,
    count: u32,
    once: Option<std::path::PathBuf>,
}

#[cfg(debug_assertions)]
impl Wanted {
    fn parse(text: &str) -> Self {
        let (text, once) =
            text.split_once('@').map_or((text, None), |(text, marker)| (text, Some(marker.into())));
        let (point, count) = text.split_once(':').unwrap_or((text, "1"));
        Self { point: point.to_owned(), count: count.parse().unwrap_or(1), once }
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_name: &'static str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_counts_and_markers_are_told_apart() {
        let parsed = Wanted::parse("exit.seen:2@/tmp/a:b");
        assert_eq!((parsed.point.as_str(), parsed.count), ("exit.seen", 2));
        assert_eq!(parsed.once.as_deref(), Some("/tmp/a:b".as_ref()));
        assert_eq!(Wanted::parse("rm.tree"), Wanted { point: "rm.tree".into(), count: 1, once: None });
    }
}
