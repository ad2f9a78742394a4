//! The states of a container, each with the data that exists only in it.
//!
//! ```text
//!            start                 exit                     rm
//! Created ──────────▶ Running ──────────────▶ Exited ─────────────▶ Removing ──▶ (gone)
//!    │                 ▲  │ ▲                   │ ▲                     │ failed
//!    │ start failed    │  │ │ unpause           │ │ start failed        ▼
//!    └─▶ Created       │  ▼ │             start │ └─▶ Exited          Dead ──rm──▶ Removing
//!        (failure)     │ Paused                 ▼     (failure)
//!                      └──── Restarting ◀─── (exit, and the restart policy wants it back)
//! ```
//! Docker's flags `Running`, `Paused`, `Restarting`, `Dead` are derived; clients rely on `Running` being true in
//! `Restarting` and `Paused`.

use model::{ProcessRef, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a container is in its life. Stored as part of its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum State {
    /// Made, and its program never ran; `failure` tells of the last attempt.
    Created {
        failure: Option<Failure>,
    },
    Running(Run),
    /// Frozen by the cgroup freezer.
    Paused(Run),
    /// Ended, and the restart policy will start it again.
    Restarting {
        exit: Exit,
    },
    /// Ended; `failure` tells of a later attempt to start it again.
    Exited {
        exit: Exit,
        failure: Option<Failure>,
    },
    /// Being taken apart; a new engine goes on with it.
    Removing {
        exit: Option<Exit>,
        /// Its anonymous volumes go with it.
        volumes: bool,
    },
    /// Taking it apart failed; only another `rm` is possible.
    Dead {
        exit: Option<Exit>,
        message: String,
    },
}

/// One run of the container's program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The container's init, seen from the engine's PID namespace.
    pub process: ProcessRef,
    pub started: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// 0–255; 128 + n after signal n.
    pub code: i32,
    pub oom_killed: bool,
    pub started: Timestamp,
    pub finished: Timestamp,
    /// Why, when it was not the program's own doing.
    pub error: Option<String>,
}

/// Why a start did not come about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// 126 not executable, 127 not found, 128 anything else: what the shell and Docker use.
    pub code: i32,
    pub message: String,
}

/// Docker's word for a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Created,
            Self::Running,
            Self::Paused,
            Self::Restarting,
            Self::Removing,
            Self::Exited,
            Self::Dead,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
    }
}

impl State {
    pub fn status(&self) -> Status {
        match self {
            Self::Created { .. } => Status::Created,
            Self::Running(_) => Status::Running,
            Self::Paused(_) => Status::Paused,
            Self::Restarting { .. } => Status::Restarting,
            Self::Exited { .. } => Status::Exited,
            Self::Removing { .. } => Status::Removing,
            Self::Dead { .. } => Status::Dead,
        }
    }

    /// The run in progress, frozen or not.
    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::Running(run) | Self::Paused(run) => Some(run),
            _ => None,
        }
    }

    /// Docker's `Running` flag: also set while paused and while waiting to be restarted.
    pub fn counts_as_running(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Paused(_) | Self::Restarting { .. })
    }

    /// The last run's end, where one is known and no run is in progress.
    pub fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Restarting { exit } | Self::Exited { exit, .. } => Some(exit),
            Self::Removing { exit, .. } | Self::Dead { exit, .. } => exit.as_ref(),
            Self::Created { .. } | Self::Running(_) | Self::Paused(_) => None,
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Created { failure } | Self::Exited { failure, .. } => failure.as_ref(),
            _ => None,
        }
    }

    pub fn exit_code(&self) -> i32 {
        self.failure().map(|f| f.code).or(self.exit().map(|e| e.code)).unwrap_or(0)
    }

    /// The text of `State.Error` in inspect.
    pub fn error(&self) -> &str {
        match self {
            Self::Dead { message, .. } => message,
            _ => match (self.failure(), self.exit()) {
                (Some(failure), _) => &failure.message,
                (None, Some(exit)) => exit.error.as_deref().unwrap_or(""),
                (None, None) => "",
            },
        }
    }

    pub fn started(&self) -> Timestamp {
        self.run().map(|r| r.started).or(self.exit().map(|e| e.started)).unwrap_or(Timestamp::ZERO)
    }

    pub fn finished(&self) -> Timestamp {
        self.exit().map_or(Timestamp::ZERO, |e| e.finished)
    }

    /// The state after a start that did not come about: as before, with the reason.
    #[must_use]
    pub fn not_started(&self, failure: Failure) -> Self {
        match self.exit() {
            Some(exit) => Self::Exited { exit: exit.clone(), failure: Some(failure) },
            None => Self::Created { failure: Some(failure) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run { process: ProcessRef { pid: 7, start_time: 9 }, started: Timestamp::from_unix(10, 0) }
    }

    fn exit(code: i32) -> Exit {
        Exit {
            code,
            oom_killed: false,
            started: Timestamp::from_unix(10, 0),
            finished: Timestamp::from_unix(20, 0),
            error: None,
        }
    }

    #[test]
    fn running_flag_covers_paused_and_restarting_as_docker_clients_expect() {
        let counts = |s: State| s.counts_as_running();
        assert!(counts(State::Running(run())));
        assert!(counts(State::Paused(run())));
        assert!(counts(State::Restarting { exit: exit(1) }));
        assert!(!counts(State::Exited { exit: exit(1), failure: None }));
        assert!(!counts(State::Created { failure: None }));
        assert!(!counts(State::Dead { exit: None, message: "busy".into() }));
    }

    #[test]
    fn a_failed_start_keeps_the_times_of_the_run_before() {
        let before = State::Exited { exit: exit(3), failure: None };
        let after = before.not_started(Failure { code: 127, message: "not found".into() });
        assert_eq!((after.exit_code(), after.error()), (127, "not found"));
        assert_eq!((after.started(), after.finished()), (before.started(), before.finished()));
        assert_eq!(after.status(), Status::Exited);

        let never =
            State::Created { failure: None }.not_started(Failure { code: 126, message: "denied".into() });
        assert_eq!(
            (never.status(), never.exit_code(), never.started()),
            (Status::Created, 126, Timestamp::ZERO)
        );
    }

    #[test]
    fn every_state_survives_the_store() {
        for state in [
            State::Created { failure: Some(Failure { code: 127, message: "x".into() }) },
            State::Running(run()),
            State::Paused(run()),
            State::Restarting { exit: exit(2) },
            State::Exited { exit: exit(0), failure: None },
            State::Removing { exit: Some(exit(1)), volumes: true },
            State::Dead { exit: None, message: "busy".into() },
        ] {
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state, "{json}");
        }
    }
}
