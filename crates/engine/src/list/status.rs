//! The text of a container's status for people: `Up 3 minutes (healthy)` (moby `State.String`, go-units
//! `HumanDuration`).

use crate::container::{Record, State};
use model::Timestamp;

pub(crate) fn text(record: &Record, now: Timestamp) -> String {
    let since = |then: Timestamp| human(now.unix_seconds() - then.unix_seconds());
    match &record.state {
        State::Running(run) => match &record.health {
            Some(health) => format!("Up {} ({})", since(run.started), health_word(&health.status)),
            None => format!("Up {}", since(run.started)),
        },
        State::Paused(run) => format!("Up {} (Paused)", since(run.started)),
        State::Restarting { exit } => format!("Restarting ({}) {} ago", exit.code, since(exit.finished)),
        State::Removing { .. } => "Removal In Progress".to_owned(),
        State::Dead { .. } => "Dead".to_owned(),
        State::Created { .. } => "Created".to_owned(),
        State::Exited { exit, .. } => {
            format!("Exited ({}) {} ago", record.state.exit_code(), since(exit.finished))
        }
    }
}

fn health_word(status: &str) -> &str {
    if status == "starting" { "health: starting" } else { status }
}

/// A length of time in one unit.
fn human(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Go rounds hours to the nearest.
    let hours = (seconds + 1800) / 3600;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Exit, Run, testing};
    use api_types::Health;
    use model::{Id, ProcessRef};

    #[test]
    fn lengths_of_time_read_as_go_units_writes_them() {
        const DAY: i64 = 24 * 3600;
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (179, "2 minutes"),
            (50 * 60, "50 minutes"),
            (3600, "About an hour"),
            (3 * 3600, "3 hours"),
            (47 * 3600, "47 hours"),
            (2 * DAY, "2 days"),
            (14 * DAY, "2 weeks"),
            (60 * DAY, "2 months"),
            (2 * 365 * DAY, "2 years"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn each_state_has_its_text() {
        let now = Timestamp::from_unix(1000, 0);
        let at = |seconds: i64| Timestamp::from_unix(1000 - seconds, 0);
        let exit = Exit { code: 3, oom_killed: false, started: at(200), finished: at(120), error: None };
        let run = Run { process: ProcessRef { pid: 1, start_time: 1 }, started: at(180) };
        let check = |state: State, health: Option<&str>, expected: &str| {
            let mut record = testing::record(Id::random(), "c");
            record.state = state;
            record.health = health.map(|status| Health { status: status.into(), ..Health::default() });
            assert_eq!(text(&record, now), expected);
        };
        check(State::Created { failure: None }, None, "Created");
        check(State::Running(run.clone()), None, "Up 3 minutes");
        check(State::Running(run.clone()), Some("healthy"), "Up 3 minutes (healthy)");
        check(State::Running(run.clone()), Some("starting"), "Up 3 minutes (health: starting)");
        check(State::Paused(run), Some("healthy"), "Up 3 minutes (Paused)");
        check(State::Restarting { exit: exit.clone() }, None, "Restarting (3) 2 minutes ago");
        check(State::Exited { exit, failure: None }, None, "Exited (3) 2 minutes ago");
        check(State::Removing { exit: None, volumes: false }, None, "Removal In Progress");
    }
}
