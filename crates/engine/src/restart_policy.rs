//! Whether, and how soon, a container that has ended is started again (moby `restartmanager`).

use crate::container::Exit;
use api_types::RestartPolicy;
use std::time::Duration;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(60);
/// A run of this length was a success: the delay starts over.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// How often a start is tried. moby tries once; but what is in the way when a machine comes up (a port that another
/// program is about to leave, a file system that is about to be mounted) often is not for long.
pub(crate) const ATTEMPTS: u32 = 8;

/// Whether the policy wants the container back after `exit`, `restarts` being how often it was brought back already.
/// `stopped` is whether a client stopped or killed it.
pub(crate) fn after_exit(policy: &RestartPolicy, exit: &Exit, restarts: u32, stopped: bool) -> bool {
    !stopped
        && match policy.name.as_str() {
            "always" | "unless-stopped" => true,
            "on-failure" => {
                exit.code != 0
                    && (policy.maximum_retry_count == 0 || i64::from(restarts) < policy.maximum_retry_count)
            }
            _ => false,
        }
}

/// Whether the policy wants the container back when an engine starts and finds it ended.
///
/// `always` means just that: also after a client stopped it. That is how it differs from `unless-stopped`.
pub(crate) fn at_engine_start(policy: &RestartPolicy, exit: &Exit, restarts: u32, stopped: bool) -> bool {
    policy.name == "always" || after_exit(policy, exit, restarts, stopped)
}

/// How long to wait before the next start: 100 ms, doubled each time, at most a minute.
pub(crate) fn delay(last: Option<Duration>, exit: &Exit) -> Duration {
    let nanos = exit.finished.unix_nanos() - exit.started.unix_nanos();
    match last {
        Some(last) if nanos < GOOD_RUN.as_nanos().cast_signed() => (last * 2).min(LAST_DELAY),
        _ => FIRST_DELAY,
    }
}

/// How long to wait after a start that failed: as after short runs.
pub(crate) fn next_attempt(last: Duration) -> Duration {
    (last * 2).clamp(FIRST_DELAY, LAST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn exit(code: i32, seconds: i64) -> Exit {
        Exit {
            code,
            oom_killed: false,
            started: Timestamp::from_unix(100, 0),
            finished: Timestamp::from_unix(100 + seconds, 0),
            error: None,
        }
    }

    fn policy(name: &str, maximum_retry_count: i64) -> RestartPolicy {
        RestartPolicy { name: name.into(), maximum_retry_count }
    }

    #[test]
    fn policies_differ_in_what_they_bring_back() {
        for (name, code, restarts, stopped, expected) in [
            ("no", 1, 0, false, false),
            ("", 1, 0, false, false),
            ("always", 0, 99, false, true),
            ("always", 0, 0, true, false),
            ("unless-stopped", 0, 0, false, true),
            ("unless-stopped", 0, 0, true, false),
            ("on-failure", 0, 0, false, false),
            ("on-failure", 1, 1, false, true),
            ("on-failure", 1, 2, false, false),
            ("on-failure", 137, 0, true, false),
        ] {
            let wanted = after_exit(
                &policy(name, if name == "on-failure" { 2 } else { 0 }),
                &exit(code, 1),
                restarts,
                stopped,
            );
            assert_eq!(wanted, expected, "{name} {code} {restarts} {stopped}");
        }
        assert!(after_exit(&policy("on-failure", 0), &exit(1, 1), 1000, false), "no maximum");
    }

    #[test]
    fn only_always_survives_a_stop_and_an_engine_restart() {
        assert!(at_engine_start(&policy("always", 0), &exit(0, 1), 0, true));
        assert!(!at_engine_start(&policy("unless-stopped", 0), &exit(0, 1), 0, true));
        assert!(at_engine_start(&policy("unless-stopped", 0), &exit(0, 1), 0, false));
        assert!(!at_engine_start(&policy("no", 0), &exit(1, 1), 0, false));
    }

    #[test]
    fn delays_double_up_to_a_minute_and_start_over_after_a_good_run() {
        let mut last = None;
        let mut delays = Vec::new();
        for _ in 0..12 {
            last = Some(delay(last, &exit(1, 1)));
            delays.push(last.unwrap().as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(delay(last, &exit(1, 11)), FIRST_DELAY);
    }
}
