//! `container prune`: removes every container that does not run.

use crate::{Engine, Error, blocking, container::State, filters::Filters, rm};
use api_types::ContainersPruneReport;
use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

/// One at a time, as in Docker.
static RUNNING: AtomicBool = AtomicBool::new(false);

struct Only;

impl Only {
    fn take() -> Result<Self, Error> {
        if RUNNING.swap(true, Ordering::Acquire) { Err(Error::PruneRunning) } else { Ok(Self) }
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        RUNNING.store(false, Ordering::Release);
    }
}

/// Removes stopped containers that pass `filters`: `label`, `label!`, `until`.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<ContainersPruneReport, Error> {
    filters.only(&["label", "label!", "until"])?;
    let until = filters.until()?;
    let _only = Only::take()?;
    let mut report = ContainersPruneReport::default();
    for container in engine.containers.all() {
        let record = container.record();
        let stopped =
            matches!(record.state, State::Created { .. } | State::Exited { .. } | State::Dead { .. });
        let old = until.is_none_or(|until| record.created < until);
        if !stopped || !old || !filters.wanted_labels(&record.config.labels) {
            continue;
        }
        let size = {
            let (engine, id) = (engine.clone(), record.id.clone());
            blocking("prune", move || engine.snapshots.container_usage(&id)).await?
        };
        match rm::rm(engine, record.id.as_str(), rm::Options::default()).await {
            Ok(()) => {
                report.space_reclaimed += size.map_or(0, |usage| usage.bytes);
                report.containers_deleted.push(record.id.to_string());
            }
            Err(error) => tracing::warn!(container = %record.id, %error, "prune"),
        }
    }
    let attributes =
        std::collections::BTreeMap::from([("reclaimed".to_owned(), report.space_reclaimed.to_string())]);
    engine.events.publish(crate::events::Kind::Container, "prune", "", attributes);
    Ok(report)
}
