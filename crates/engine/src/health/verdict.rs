//! What a probe's result means for the container's health.

use super::Check;
use crate::{Container, Engine, events::Kind};
use api_types::{Health, HealthcheckResult};

/// How many results are kept.
const KEPT: usize = 5;

/// Records the result, and tells when it changed the status.
pub(super) fn apply(engine: &Engine, container: &Container, check: &Check, result: HealthcheckResult) {
    let changed = container.change(|record| {
        let started = record.state.started();
        let health = record.health.as_mut()?;
        let young = result.start.parse().is_ok_and(|start: model::Timestamp| {
            start.unix_nanos() - started.unix_nanos() < check.start_period.as_nanos().cast_signed()
        });
        judge(health, result, check.retries, young).then(|| health.status.clone())
    });
    // Best effort, as in Docker: the status is saved with the record's next change.
    if let Some(status) = changed {
        let action = format!("health_status: {status}");
        engine.events.publish(
            Kind::Container,
            action,
            container.id().as_str(),
            container.record().attributes(),
        );
    }
}

/// Whether the status changed. A failure of a container that is still starting up does not count while it is `young`.
fn judge(health: &mut Health, result: HealthcheckResult, retries: i64, young: bool) -> bool {
    let before = health.status.clone();
    if result.exit_code == 0 {
        health.failing_streak = 0;
        "healthy".clone_into(&mut health.status);
    } else if !(young && before == "starting") {
        health.failing_streak += 1;
        if health.failing_streak >= retries {
            "unhealthy".clone_into(&mut health.status);
        }
    }
    health.log.push(result);
    let surplus = health.log.len().saturating_sub(KEPT);
    health.log.drain(..surplus);
    health.status != before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i64) -> HealthcheckResult {
        HealthcheckResult { exit_code, ..HealthcheckResult::default() }
    }

    #[test]
    fn three_failures_make_unhealthy_and_one_success_healthy() {
        let mut health = Health { status: "starting".into(), ..Health::default() };
        assert!(!judge(&mut health, result(1), 3, false));
        assert!(!judge(&mut health, result(1), 3, false));
        assert!(judge(&mut health, result(1), 3, false));
        assert_eq!((health.status.as_str(), health.failing_streak), ("unhealthy", 3));
        assert!(judge(&mut health, result(0), 3, false));
        assert_eq!((health.status.as_str(), health.failing_streak), ("healthy", 0));
        for _ in 0..9 {
            assert!(!judge(&mut health, result(0), 3, false));
        }
        assert_eq!(health.log.len(), KEPT);
    }

    #[test]
    fn failures_while_starting_up_do_not_count() {
        let mut health = Health { status: "starting".into(), ..Health::default() };
        assert!(!judge(&mut health, result(1), 1, true));
        assert_eq!((health.status.as_str(), health.failing_streak), ("starting", 0));
        assert!(judge(&mut health, result(1), 1, false));
    }
}
