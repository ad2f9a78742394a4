//! The states of a shim, and which request each permits.
//!
//! ```text
//! Empty ──Create──▶ Created ──Start──▶ Running ◀──Pause/Resume──▶ Paused
//!                      │                  │                          │
//!                      └──── init ends ───┴──────── init ends ───────┴──▶ Exited
//! ```

use crate::{Failure, FailureClass, ToShim};
use serde::{Deserialize, Serialize};

/// Where a shim's container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// No container yet.
    Empty,
    /// All but the program.
    Created,
    Running,
    Paused,
    /// The exit record is written.
    Exited,
}

impl Stage {
    /// Whether `request` fits this stage; if not, the refusal that says what would.
    pub fn permits(self, request: &ToShim) -> Result<(), Failure> {
        let expected = Self::expected(request);
        if expected.contains(&self) { Ok(()) } else { Err(self.refusal(request.name(), expected)) }
    }

    fn expected(request: &ToShim) -> &'static [Stage] {
        use Stage::{Created, Empty, Exited, Paused, Running};
        match request {
            ToShim::Create(_) => &[Empty],
            ToShim::Start => &[Created],
            ToShim::Attach(_) => &[Created, Running, Paused],
            ToShim::Exec(_) | ToShim::Pause => &[Running],
            ToShim::Resume => &[Paused],
            ToShim::Resize { .. }
            | ToShim::Signal { .. }
            | ToShim::CloseStdin { .. }
            | ToShim::Update { .. } => &[Created, Running, Paused],
            ToShim::Stats | ToShim::Pids => &[Created, Running, Paused],
            ToShim::State => &[Empty, Created, Running, Paused, Exited],
            ToShim::Shutdown => &[Empty, Created, Exited],
        }
    }

    fn refusal(self, request: &str, expected: &[Stage]) -> Failure {
        let stages: Vec<String> = expected.iter().map(|s| format!("{s:?}")).collect();
        let message =
            format!("unexpected {request} while the container is {self:?}: expected {}", stages.join(" or "));
        Failure::new(FailureClass::Conflict, request, message)
    }
}

#[cfg(test)]
mod tests {
    use super::Stage::{self, Created, Empty, Exited, Paused, Running};
    use super::*;
    use crate::{Target, WindowSize};

    fn requests() -> Vec<(ToShim, Vec<Stage>)> {
        let size = WindowSize { rows: 24, columns: 80 };
        vec![
            (ToShim::Start, vec![Created]),
            (ToShim::Attach(crate::Attach::default()), vec![Created, Running, Paused]),
            (ToShim::Resize { target: Target::Init, size }, vec![Created, Running, Paused]),
            (ToShim::Signal { target: Target::Init, signal: 15 }, vec![Created, Running, Paused]),
            (ToShim::CloseStdin { target: Target::Init }, vec![Created, Running, Paused]),
            (ToShim::Pause, vec![Running]),
            (ToShim::Resume, vec![Paused]),
            (ToShim::Stats, vec![Created, Running, Paused]),
            (ToShim::Pids, vec![Created, Running, Paused]),
            (ToShim::State, vec![Empty, Created, Running, Paused, Exited]),
            (ToShim::Shutdown, vec![Empty, Created, Exited]),
        ]
    }

    #[test]
    fn each_request_is_permitted_exactly_where_the_protocol_says() {
        for (request, permitted) in requests() {
            for stage in [Empty, Created, Running, Paused, Exited] {
                assert_eq!(
                    stage.permits(&request).is_ok(),
                    permitted.contains(&stage),
                    "{} {stage:?}",
                    request.name()
                );
            }
        }
    }

    #[test]
    fn a_refusal_names_what_was_expected() {
        let refusal = Running.permits(&ToShim::Start).unwrap_err();
        assert_eq!(refusal.class, FailureClass::Conflict);
        assert_eq!(refusal.message, "unexpected Start while the container is Running: expected Created");
    }
}
