//! Named places at which a test can have the engine die, as if it were killed there.
//!
//! With `LICHEN_FAULT=create.tree` in its environment a debug build aborts when it gets to `create.tree`; release
//! builds do not have the check. End-to-end tests kill an engine at each of [`POINTS`] and then assert what the next
//! one finds. `LICHEN_FAULT=start.shim:3` lets the point pass twice and aborts the third time.

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
    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);
    debug_assert!(POINTS.contains(&name), "{name} is missing from POINTS");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("LICHEN_FAULT").ok()?;
        let (point, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((point.to_owned(), count.parse().unwrap_or(1)))
    });
    if let Some((point, count)) = wanted
        && point == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        eprintln!("LICHEN_FAULT: dying at {name}");
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_name: &'static str) {}
