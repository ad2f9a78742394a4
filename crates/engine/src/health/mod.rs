//! Health checks: a command run in the container from time to time (moby `daemon/health.go`).

mod probe;
mod verdict;

use crate::{
    Engine,
    container::{Container, State},
};
use api_types::{ContainerConfig, Health, HealthConfig};
use std::{sync::Arc, time::Duration};

/// A check that is configured, with Docker's defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    command: Vec<String>,
    interval: Duration,
    timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: i64,
}

impl Check {
    /// None when there is no check, or it is switched off.
    fn of(config: &ContainerConfig) -> Option<Self> {
        let health: &HealthConfig = config.healthcheck.as_ref()?;
        let shell = if config.shell.is_empty() {
            vec!["/bin/sh".to_owned(), "-c".to_owned()]
        } else {
            config.shell.clone()
        };
        let command = match health.test.split_first()? {
            (kind, words) if kind == "CMD" && !words.is_empty() => words.to_vec(),
            (kind, words) if kind == "CMD-SHELL" && !words.is_empty() => [shell, words.to_vec()].concat(),
            _ => return None,
        };
        let time = |nanos: i64, default: u64| match u64::try_from(nanos) {
            Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
            _ => Duration::from_secs(default),
        };
        Some(Self {
            command,
            interval: time(health.interval, 30),
            timeout: time(health.timeout, 30),
            start_period: time(health.start_period, 0),
            start_interval: time(health.start_interval, 5),
            retries: if health.retries > 0 { health.retries } else { 3 },
        })
    }
}

/// The health of a container that has just started; none when nothing checks it.
pub(crate) fn starting(config: &ContainerConfig) -> Option<Health> {
    Check::of(config).map(|_| Health { status: "starting".to_owned(), ..Health::default() })
}

/// Checks the container, in a task of its own, until its run ends or it is paused. Nothing to do without a check.
pub(crate) fn watch(engine: &Arc<Engine>, container: &Arc<Container>) {
    let Some(check) = Check::of(&container.record().config) else { return };
    let mut stop = container.live.start_probe();
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move {
        loop {
            let pause = pause(&check, &container);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Nothing is ever sent: the channel closes.
                _ = stop.changed() => return,
            }
            let result = tokio::select! {
                result = probe::run(&engine, &container, &check) => result,
                _ = stop.changed() => return,
            };
            if !matches!(container.record().state, State::Running(_)) {
                return;
            }
            verdict::apply(&engine, &container, &check, result);
        }
    });
}

/// How long until the next probe: shorter while the container is starting up.
fn pause(check: &Check, container: &Container) -> Duration {
    let record = container.record();
    let starting = record.health.as_ref().is_some_and(|h| h.status == "starting");
    let age = model::Timestamp::now().unix_nanos() - record.state.started().unix_nanos();
    if starting && age < check.start_period.as_nanos().cast_signed() {
        check.start_interval
    } else {
        check.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &[&str]) -> Option<Check> {
        let health =
            HealthConfig { test: test.iter().map(|s| (*s).to_owned()).collect(), ..HealthConfig::default() };
        Check::of(&ContainerConfig { healthcheck: Some(health), ..ContainerConfig::default() })
    }

    #[test]
    fn commands_and_defaults_are_dockers() {
        let by_shell = check(&["CMD-SHELL", "curl -f localhost"]).unwrap();
        assert_eq!(by_shell.command, ["/bin/sh", "-c", "curl -f localhost"]);
        assert_eq!((by_shell.interval, by_shell.retries), (Duration::from_secs(30), 3));
        assert_eq!(check(&["CMD", "a", "b"]).unwrap().command, ["a", "b"]);
        for none in [&["NONE"][..], &[], &["CMD"], &["OTHER", "x"]] {
            assert_eq!(check(none), None, "{none:?}");
        }
    }
}
