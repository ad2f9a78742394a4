//! What every driver must do, run by each of them.
//!
//! A driver's tests are one call of [`run`] in a user namespace of an unprivileged user. A new behaviour is a new
//! [`Case`]; a new driver gets all of them. Layer archives are made by the `tar` crate, so that this project's reader and
//! writer are not judged by one another.

mod ahead;
mod containers;
mod crashes;
pub mod lab;
mod layers;

use crate::Driver;
use lab::Lab;
use std::{path::Path, sync::Arc};

/// Opens the driver on a directory, as an engine does when it starts.
pub type Open = fn(&Path) -> Arc<dyn Driver>;

/// One behaviour.
pub struct Case {
    pub name: &'static str,
    pub check: fn(&Lab),
}

/// Runs every case on an empty directory of its own and reports all that fail.
pub fn run(driver: &'static str, open: Open) {
    run_below(&std::env::temp_dir(), driver, open);
}

/// The same with the directories below `place`.
pub fn run_below(place: &Path, driver: &'static str, open: Open) {
    let failed: Vec<&str> = [layers::CASES, ahead::CASES, containers::CASES, crashes::CASES]
        .into_iter()
        .flatten()
        .filter(|case| {
            println!("{driver}: {}", case.name);
            let lab = Lab::new(place, driver, open);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (case.check)(&lab))).is_err()
        })
        .map(|case| case.name)
        .collect();
    assert!(failed.is_empty(), "{driver} does not conform: {failed:?}");
}
